"""Sending a campaign to everybody, the whole path, against the same worker with sending off.

Keyset read → slots filled → rendered → tokens → mark → handed over → outcome written. The figures
are CPU time of the worker and of its PostgreSQL backend together: the local provider, in a process
of its own, is slower than a real one and does not count.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.rows import Row

PEOPLE = 4_000
PUSH_ITEMS, MAIL_ITEMS = 1, 8
MAIL_BYTES = 20_000  # of HTML, about
YARDSTICK = "the same worker, sending off"
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU µs a message: of the worker, of its backend."""

    worker: float
    backend: float

    @property
    def total(self) -> float:
        return self.worker + self.backend

    @property
    def per_second(self) -> float:
        return 1e6 / self.total


def run() -> list[Row]:
    from engage.lib import clock

    set_up(now=clock.now())
    with provider("fcm") as fcm, provider("smtp") as smtp:
        rows = []
        for channel, facts in (("push", fcm), ("email", smtp)):
            use(channel, facts)
            sending = [
                measure(channel, sends=sends) for _ in range(ROUNDS) for sends in (True, False)
            ]
            on = min(sending[0::2], key=lambda cost: cost.total)
            off = min(sending[1::2], key=lambda cost: cost.total)
            rows += rows_of(channel, on, off)
    return rows


def rows_of(channel: str, on: Cost, off: Cost) -> list[Row]:
    goals = {"push": (0.4, 20_000), "email": (0.3, 5_000)}[channel]
    words = {"push": "push fan-out, TLS HTTP/2", "email": "email fan-out, 20 kB"}[channel]
    return [
        Row(
            name=words, value=on.per_second, unit="messages/s/core",
            yardstick_name=YARDSTICK, yardstick_value=off.per_second,
            ratio=on.per_second / off.per_second, goal=goals[0],
        ),
        Row(
            name=f"{words}, a core", value=on.per_second, unit="messages/s",
            yardstick_name="the goal", yardstick_value=goals[1],
            ratio=on.per_second / goals[1], goal=1,
        ),
    ]  # fmt: skip


def set_up(*, now: datetime) -> None:
    """A shop with a model, and people with a device, an address and a past."""
    from django.db import connection

    from benchmarks import app_launch

    with connection.cursor() as cursor:  # a campaign goes to everybody: to these alone
        cursor.execute("TRUNCATE profiles_profile, profiles_event, profiles_dedupeid CASCADE")
    app_launch.open_shop(people=PEOPLE, now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_device (profile_id, device_id, platform, token, token_ms,"
            " token_message_id, model, os_version, app_version, described_ms, last_seen)"
            " SELECT id, 'phone', 'android', md5(id::text) || md5('t' || id), 1, 'm', '', '', '',"
            " 0, now() FROM profiles_profile ON CONFLICT DO NOTHING"
        )
        cursor.execute(
            "UPDATE profiles_profile SET attributes = attributes || jsonb_build_object("
            "'email', 'p' || id || '@shop.example', 'first_name', 'Ann ' || id)"
        )
        cursor.execute(
            "INSERT INTO profiles_consent (profile_id, channel, topic, status, stated_ms,"
            " message_id, source) SELECT id, 'email', '', 'opted_in', 1, 'm', 'import'"
            " FROM profiles_profile ON CONFLICT DO NOTHING"
        )


@contextmanager
def provider(name: str) -> Iterator[Mapping[str, Any]]:
    folder = Path(os.environ["ENGAGE_DATA_DIR"]) / f"provider-{name}"
    folder.mkdir()
    command = [sys.executable, "-m", f"tests.providers.{name}", "--ledger", str(folder / "ledger")]
    command += ["--folder", str(folder)] if name != "smtp" else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def use(channel: str, facts: Mapping[str, Any]) -> None:
    from django.conf import settings

    if channel == "push":
        settings.FCM_URL = facts["url"]
        settings.FCM_CREDENTIALS_FILE = facts["credentials_file"]
        settings.CA_FILE = facts["ca_file"]
    else:
        settings.SMTP_URL = f"smtp://localhost:{facts['port']}"


def measure(channel: str, *, sends: bool) -> Cost:
    """One run to everybody, from its plan to its last outcome."""
    from benchmarks.measure import measured

    step = measured(f"{channel} {sends}", lambda: send_all(channel, sends=sends))
    facts = step.facts
    if facts["states"] != {"accepted": PEOPLE}:
        raise SystemExit(f"{channel}: expected {PEOPLE} accepted, got {facts['states']}")
    print(f"  {channel} {'on ' if sends else 'off'}: {facts}", file=sys.stderr, flush=True)
    return Cost(facts["worker_us"] / PEOPLE, facts["backend_us"] / PEOPLE)


def send_all(channel: str, *, sends: bool) -> dict[str, Any]:
    """In a process of its own, as a worker does it."""
    from campaigns import fanout, sending
    from campaigns.models import Run
    from delivery.channels import registry
    from delivery.models import Message
    from engage.lib import clock

    campaign = make_campaign(channel, f"{channel} {sends} {os.getpid()}")
    if not sends:
        registry._made()[channel] = Off(registry.get_channel(channel).batch_size)
    warm_up(channel)
    run = Run.objects.create(campaign=campaign, scheduled_for=clock.now())
    before = cpu_us()
    while fanout.plan_chunk(run.pk, now=clock.now(), limit=1_000):
        pass
    planned = cpu_us()
    while sending.send_chunk(channel, now=clock.now()).claimed:
        pass
    done = cpu_us()
    states = Counter(Message.objects.filter(run_id=run.pk).values_list("state", flat=True))
    return {
        "states": dict(states),
        "worker_us": done[0] - before[0],
        "backend_us": done[1] - before[1],
        "planning_us": sum(planned) - sum(before),
    }


class Off:
    """Takes everything and hands over nothing."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def send(self, drafts: Any) -> list[Any]:
        from delivery.drafts import Accepted

        return [Accepted("off")] * len(drafts)


def make_campaign(channel: str, name: str) -> Any:
    from campaigns.models import Campaign, Slot, Template, Variant

    items = PUSH_ITEMS if channel == "push" else MAIL_ITEMS
    template = Template.objects.create(
        name=name, channel=channel,
        subject="{{ profile.first_name | default: 'Hello' }}, something for you",
        title="{{ profile.first_name | default: 'Hello' }}, look at this",
        body=MAIL if channel == "email" else "{% for item in slots.picks %}{{ item.name }} for "
        "{{ item.price }} {{ item.currency }}{% endfor %}",
        link="{{ slots.picks[0].link }}" if channel == "push" else "",
    )  # fmt: skip
    Slot.objects.create(template=template, name="picks", maximum=items)
    campaign = Campaign.objects.create(
        name=name, channel=channel, schedule="now", state="active", control_percent=0,
        sender="Shop <news@shop.example>",
    )  # fmt: skip
    Variant.objects.create(campaign=campaign, template=template)
    return campaign


CARD = """<td style="padding:12px;border:1px solid #dddddd;font-family:Helvetica,Arial,sans-serif">
<a href="{{ item.link }}" style="color:#222222;text-decoration:none">
<img src="{{ item.image_url }}" width="240" alt="{{ item.name }}" style="display:block">
<span style="font-size:16px;line-height:22px">{{ item.name }}</span></a>
<p style="font-size:14px;color:#666666;margin:4px 0">{{ item.reason }}</p>
<p style="font-size:18px;margin:4px 0"><b>{{ item.price }} {{ item.currency }}</b></p></td>"""
FILLER = "<p style=\"font-family:Helvetica,Arial,sans-serif;font-size:14px;line-height:20px\">" + (
    "We picked these for you from what came in this week. " * 4
) + "</p>\n"  # fmt: skip
MAIL = (
    "<html><body><h1>{{ profile.first_name | default: 'Hello' }}</h1>"
    + FILLER * 40
    + "<table><tr>{% for item in slots.picks %}"
    + CARD
    + "{% endfor %}</tr></table>"
    + '<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>'
)


def warm_up(channel: str) -> None:
    """Kernels compiled, pages read, one connection open: as in a worker that is at work."""
    from campaigns import fanout, sending
    from campaigns.models import Run
    from engage.lib import clock
    from engage.profiles.models import Profile

    campaign = make_campaign(channel, f"{channel} warm {os.getpid()}")
    first = Profile.objects.order_by("pk").values_list("pk", flat=True)[:1][0]
    run = Run.objects.create(
        campaign=campaign, scheduled_for=clock.now(), frozen_at=clock.now(), upto=first + 49,
        rule={},
    )  # fmt: skip
    while fanout.plan_chunk(run.pk, now=clock.now(), limit=1_000):
        pass
    while sending.send_chunk(channel, now=clock.now()).claimed:
        pass


def cpu_us() -> tuple[float, float]:
    """Of this process, and of its PostgreSQL backend, in µs."""
    from django.db import connection

    times = os.times()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return (times.user + times.system) * 1e6, (int(fields[11]) + int(fields[12])) / ticks * 1e6
