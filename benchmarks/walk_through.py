"""A real shop from its files to its customers' inboxes, timed: see docs/walk-through.md.

    python -m benchmarks.walk_through FOLDER

FOLDER holds `items.csv.gz` (item,title,…) and `events.csv.gz` (user,item,event,ts,…). The steps
run on embedded servers in a temporary folder and send into a local mail sink: nothing leaves.
"""

import argparse
import csv
import gzip
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CUSTOMERS_SHOWN = 10
BOUGHT_WITHIN_DAYS = 60  # of the last event
MAIL = """<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello, four things for you:</mj-text>
<mj-text>{% for item in slots.picks %}
<p><a href="{{ item.link }}">{{ item.name }}</a> – {{ item.reason }}</p>
{% endfor %}</mj-text>
<mj-text><a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path, help="write the figures as JSON, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="engage-walk-") as place:
        report = walk(options.folder.absolute(), Path(place))
    show(report)
    if options.report:
        options.report.write_text(json.dumps(report, indent=2))


def walk(folder: Path, place: Path) -> dict[str, Any]:
    """All steps on embedded servers below `place`."""
    from engage.runner.servers import embedded_servers
    from tests.providers.smtp import SmtpSink

    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    sink = SmtpSink(place / "mail.ledger", captured=place / "mail")
    with sink.running(), embedded_servers(place):
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "engage.settings",
            "ENGAGE_DATA_DIR": str(place),
            "ENGAGE_SMTP_URL": f"smtp://localhost:{sink.port}",
        }
        import django

        django.setup()
        return take_steps(folder, place / "mail")


def take_steps(folder: Path, mailbox: Path) -> dict[str, Any]:
    from django.core.management import call_command

    from benchmarks.measure import measured

    call_command("migrate", verbosity=0)
    steps = [
        measured("load_catalog", lambda: load_catalog(folder)),
        measured("load_events", lambda: load_events(folder)),
        measured("give addresses", lambda: give_addresses(folder)),
        measured("build_recommendations", build),
        measured("recommend", lambda: recommend(folder)),
        measured("send the campaign", lambda: send(folder)),
    ]
    mails = sum(1 for _ in mailbox.glob("*.eml"))
    return {
        "steps": [
            {"name": s.name, "seconds": s.seconds, "peak_mb": s.peak_mb, **s.facts} for s in steps
        ],
        "captured_mails": mails,
    }


# --- the steps --------------------------------------------------------------------------------


def load_catalog(folder: Path) -> dict[str, Any]:
    from django.core.management import call_command

    from catalog.models import Product

    call_command("load_catalog", str(folder / "items.csv.gz"), catalog="default")
    return {"products": Product.objects.count()}


def load_events(folder: Path) -> dict[str, Any]:
    from django.core.management import call_command

    from engage.profiles.models import Event, Profile

    call_command("load_events", str(folder / "events.csv.gz"))
    return {"events": Event.objects.count(), "profiles": Profile.objects.count()}


def give_addresses(folder: Path) -> dict[str, Any]:
    """The data has no addresses: every known customer gets one and agrees to mail."""
    from engage.lib.clock import now
    from engage.profiles.store import StoredEvent, store_events

    users = sorted(last_purchases(folder))
    moment = now()
    events = [
        StoredEvent(
            source_id=0,
            message_id=f"address-{user}",
            kind="identify",
            name="identify",
            user_id=user,
            ts=moment,
            received_at=moment,
            traits={"email": f"{user}@customer.example", "subscriptions": {"email": True}},
        )
        for user in users
    ]
    for start in range(0, len(events), 1_000):
        store_events(events[start : start + 1_000], now=moment)
    return {"customers": len(users)}


def build() -> dict[str, Any]:
    from django.core.management import call_command

    from recommendations.models import Build

    call_command("build_recommendations", "default")
    made = Build.objects.get(state=Build.State.LIVE)
    return {"quality": made.quality, "data": made.data}


def recommend(folder: Path) -> dict[str, Any]:
    """What the terminal shows for the ten customers with the most orders."""
    from django.core.management import call_command

    shown = {}
    for user in best_customers(folder):
        output = io.StringIO()
        with redirect_stdout(output):
            call_command("recommend", user, n=4)
        shown[user] = output.getvalue()
        print(f"\n{output.getvalue().rstrip()}")
    return {"customers_shown": shown}


def send(folder: Path) -> dict[str, Any]:
    """Plan and send in one process, by the functions that the workers call."""
    from django.conf import settings

    from campaigns import fanout, lifecycle, runs, sending
    from delivery import reports
    from delivery.models import Message
    from engage.lib.clock import now

    campaign = make_campaign(folder)
    run = lifecycle.launch(campaign, now=now())
    assert run is not None
    while fanout.plan_chunk(run.pk, now=now(), limit=settings.SEND_BATCH):
        pass
    while sending.send_chunk("email", now=now()).claimed:
        pass
    runs.finish_done(now())
    run.refresh_from_db()
    sent = Message.objects.filter(run_id=run.pk, state="accepted").values_list("items", flat=True)
    rungs = Counter(shown["rung"] for items in sent for shown in items)
    best = Counter(min((_place(i["rung"]) for i in items), default=99) for items in sent)
    figures = reports.run_figures(run.pk)
    return {
        "state": run.state,
        "audience": run.audience,
        "planned": figures["planned"],
        "states": figures["states"],
        "suppressed": figures["reasons"],
        "products_by_rung": dict(rungs),
        "messages_by_best_rung": {RUNGS[k] if k < 99 else "none": v for k, v in best.items()},
    }


def show(report: dict[str, Any]) -> None:
    """The figures as a table, then what was sent and from which rung."""
    print(f"\n{'step':24}{'seconds':>9}{'peak MB':>9}")
    for step in report["steps"]:
        print(f"{step['name']:24}{step['seconds']:>9.2f}{step['peak_mb']:>9.1f}")
    sent = report["steps"][-1]
    for fact in (
        "audience",
        "planned",
        "states",
        "suppressed",
        "messages_by_best_rung",
        "products_by_rung",
    ):
        print(f"{fact.replace('_', ' ')}: {sent[fact]}")
    print(f"captured mails: {report['captured_mails']}")


RUNGS = (
    "personal",
    "similar_to_last",
    "trending_in_category",
    "people_alike",
    "trending",
    "best_sellers",
    "hand_picked",
)


def _place(rung: str) -> int:
    return RUNGS.index(rung)


def make_campaign(folder: Path) -> Any:
    from campaigns import templates
    from campaigns.models import Campaign, Segment, Slot, Template, Variant

    last = max(last_purchases(folder).values())
    days = (datetime.now(UTC) - last).days + BOUGHT_WITHIN_DAYS
    rule = {"did": "Order Completed", "within_days": days}
    segment = Segment.objects.create(name="Bought in the last 60 days", rule=rule)
    template = Template(
        name="Four for you", channel="email", subject="Four things for you", body=MAIL
    )
    templates.save_template(template)
    Slot.objects.create(template=template, name="picks", minimum=4, maximum=4)
    campaign = Campaign.objects.create(
        name="Four for you",
        channel="email",
        segment=segment,
        sender="Shop <shop@shop.example>",
    )
    Variant.objects.create(campaign=campaign, template=template, name="a")
    return campaign


# --- the files --------------------------------------------------------------------------------


def rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        yield from csv.DictReader(file)


def last_purchases(folder: Path) -> dict[str, datetime]:
    """When each known customer last bought."""
    last: dict[str, str] = {}
    for row in rows(folder / "events.csv.gz"):
        if row["user"] and row["event"] == "purchase":
            last[row["user"]] = max(last.get(row["user"], ""), row["ts"])
    return {user: _time(ts) for user, ts in last.items()}


def _time(ts: str) -> datetime:
    moment = datetime.fromtimestamp(float(ts), UTC) if ts.isdigit() else datetime.fromisoformat(ts)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def best_customers(folder: Path) -> list[str]:
    orders: dict[str, set[str]] = {}
    for row in rows(folder / "events.csv.gz"):
        if row["user"] and row["event"] == "purchase":
            orders.setdefault(row["user"], set()).add(row["order"])
    ranked = sorted(orders, key=lambda user: (-len(orders[user]), user))
    return ranked[:CUSTOMERS_SHOWN]


if __name__ == "__main__":
    sys.exit(main())
