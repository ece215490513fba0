"""From events to figures: event → store → build → campaign → provider → click → figures."""

import re
from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from campaigns import fanout, lifecycle, runs, sending, stats
from campaigns.models import Campaign
from delivery import outbox, reports
from delivery.channels import registry
from delivery.models import Interaction, Message
from engage.collector import accept, access, ingest
from engage.lib import clock
from engage.profiles import history
from recommendations import build
from tests.campaigns.conftest import forget_everything
from tests.factories import (
    make_campaign,
    make_catalog,
    make_segment,
    make_slot,
    make_template,
)
from tests.providers.fcm import Fcm
from tests.providers.smtp import SmtpSink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]
PEOPLE, PRODUCTS = 40, 12
BODY = """<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello {{ profile.first_name }}</mj-text>
<mj-table>{% for p in slots.picks %}
<tr><td><a href="{{ p.link }}">{{ p.name }}</a></td><td>{{ p.price }}</td></tr>
{% endfor %}</mj-table>
<mj-text><a href="{{ unsubscribe_url }}">Leave</a></mj-text>
</mj-column></mj-section></mj-body></mjml>"""


@pytest.fixture
def now(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    forget_everything()
    access.forget_keys()
    registry.forget_channels()
    yield clock.now()
    registry.forget_channels()
    forget_everything()


@pytest.fixture
def shop(now):
    """A catalog, people with a history that came in as events, and a model learned from it."""
    make_catalog(products=PRODUCTS)
    events = [event for person in range(PEOPLE) for event in life_of(person, now)]
    who = access.find_key(access.create_key("shop", kind="write"))
    taken = accept.accept_events(who, events, now=now)
    assert (taken.accepted, taken.rejected) == (len(events), [])
    ingest_all()
    history.rebuild()
    assert build.run("default", now=now, force=True).state == "live"
    return who


def life_of(person: int, now):
    """Names and consents; neighbouring products viewed; the first one bought."""
    who = {"userId": f"u{person}"}
    yield who | {
        "type": "identify",
        "traits": {
            "email": f"u{person}@x.example" if person % 10 else "",
            "first_name": f"N{person}",
            "subscriptions": {"email": person % 4 != 3},
        },
        "context": {"device": {"id": f"d{person}", "type": "android", "token": f"tok{person}"}},
    }
    for step in range(4):
        item = f"p{1 + (person + step) % PRODUCTS}"
        at = (now - timedelta(days=3, minutes=person - step)).isoformat()
        name = "Order Completed" if step == 0 else "Product Viewed"
        yield who | {"type": "track", "event": name, "timestamp": at,
                     "properties": {"product_id": item}}  # fmt: skip


def ingest_all():
    while ingest.ingest_once("test"):
        pass


def run_through(campaign: Campaign, now):
    run = lifecycle.launch(campaign, now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=7):
        pass
    while sending.send_chunk(campaign.channel, now=now).claimed:
        pass
    runs.finish_done(now)
    run.refresh_from_db()
    campaign.refresh_from_db()
    return run


def check_sum(run):
    """I-3: every planned message is in one state, and nothing is open."""
    counted = outbox.count_states(run.pk)
    assert sum(counted.values()) == run.planned
    assert not {Message.State.PLANNED, Message.State.LEASED, Message.State.ATTEMPTING} & {
        state for state, count in counted.items() if count
    }
    assert run.audience == run.held_out + run.planned
    return counted


def make_mail_campaign(**fields):
    template = make_template(
        subject="{{ profile.first_name }}: {{ slots.picks[0].name }}", body=BODY
    )
    make_slot(template=template, maximum=3, minimum=2, exclude_events={"Order Completed": 365})
    viewers = make_segment(rule={"did": "Product Viewed", "at_least": 3, "within_days": 14})
    return make_campaign(template=template, segment=viewers, **fields)


def link_in(html: str, part: str) -> str:
    return re.search(rf'https?://[^"/]+({part}[^"]+)"', html).group(1)


def test_a_mail_campaign_from_events_to_figures(shop, now, settings, tmp_path, client):
    sink = SmtpSink(tmp_path / "mail.jsonl")
    with sink.running():
        settings.SMTP_URL = f"smtp://127.0.0.1:{sink.port}"
        run = run_through(make_mail_campaign(control_percent=20), now)
    assert (run.state, run.campaign.state, run.audience) == ("finished", "finished", PEOPLE)
    assert run.held_out > 0
    counted = check_sum(run)
    assert counted["accepted"] == len(sink.seen) > 10
    reasons = dict(Message.objects.filter(state="suppressed").values_list("profile_id", "reason"))
    assert set(reasons.values()) == {"no_address", "no_consent"}

    mails = {to: message_from_bytes(raw, policy=policy.default) for to, raw in sink.seen}
    for to, mail in mails.items():
        person = int(to[1:].split("@")[0])
        html = mail.get_body(("html",)).get_content()
        bought = f"Product p{1 + person % PRODUCTS}<"
        assert bought not in html
        assert html.count("/t/c/") == 3
        assert f"Hello N{person}" in html
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    minute_ago = clock.now() - timedelta(minutes=1)  # who clicks at once is taken for a machine
    Message.objects.filter(state="accepted").update(finished_at=minute_ago)
    html = next(iter(mails.values())).get_body(("html",)).get_content()
    answer = client.get(link_in(html, "/t/c/"))
    assert answer.status_code in {302, 303}
    assert answer["Location"].startswith("https://shop.example/p")
    assert client.get(link_in(html, "/t/o/")).status_code == 200
    way_out = link_in(html, "/u/")
    assert client.get(way_out).status_code == 200
    assert reports.run_figures(run.pk)["unsubscribes"] == 0
    assert client.post(way_out).status_code == 200
    page = stats.run_page(run)
    assert (page["figures"]["clicks"], page["figures"]["unsubscribes"]) == (1, 1)
    [variant] = page["variants"]
    assert (variant["accepted"], variant["clicks"]) == (counted["accepted"], 1)
    clicked = [line for line in page["products"] if line["clicked"]]
    assert [line["url"] for line in clicked] == [answer["Location"]]
    assert Interaction.objects.get(kind="click").item_id == clicked[0]["item"]


def test_a_push_campaign_reaches_each_device_once(shop, now, settings, tmp_path):
    fcm = Fcm(tmp_path / "push.jsonl", folder=tmp_path)
    template = make_template(
        channel="push", title="{{ slots.picks[0].name }}", body="{{ slots.picks[0].reason }}",
        link="{{ slots.picks[0].link }}",
    )  # fmt: skip
    make_slot(template=template, maximum=1, on_short="drop_message")
    with fcm.running():
        settings.FCM_URL = fcm.url
        settings.FCM_CREDENTIALS_FILE = str(fcm.credentials_file)
        settings.CA_FILE = str(fcm.ca_file)
        run = run_through(make_campaign(channel="push", template=template), now)
    assert (run.state, run.planned) == ("finished", PEOPLE)
    assert check_sum(run)["accepted"] == PEOPLE
    assert fcm.requests == PEOPLE


def test_somebody_who_opts_out_while_a_run_goes_gets_nothing(shop, now, settings, tmp_path):
    sink = SmtpSink(tmp_path / "mail.jsonl")
    campaign = make_mail_campaign()
    run = lifecycle.launch(campaign, now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=100):
        pass
    change = {"type": "track", "event": "Consent Changed", "userId": "u1",
              "properties": {"channel": "email", "status": "opted_out"}}  # fmt: skip
    accept.accept_events(shop, [change], now=clock.now())
    ingest_all()
    with sink.running():
        settings.SMTP_URL = f"smtp://127.0.0.1:{sink.port}"
        while sending.send_chunk("email", now=now).claimed:
            pass
    assert "u1@x.example" not in {to for to, _ in sink.seen}
    assert "u2@x.example" in {to for to, _ in sink.seen}


def test_a_paused_run_sends_nothing_until_it_goes_on(shop, now, settings, tmp_path):
    sink = SmtpSink(tmp_path / "mail.jsonl")
    campaign = make_mail_campaign()
    run = lifecycle.launch(campaign, now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=100):
        pass
    lifecycle.pause(campaign, now=now)
    with sink.running():
        settings.SMTP_URL = f"smtp://127.0.0.1:{sink.port}"
        assert sending.send_chunk("email", now=now).claimed == 0
        assert sink.seen == []
        lifecycle.resume(campaign, now=now)
        while sending.send_chunk("email", now=now).claimed:
            pass
    runs.finish_done(now)
    run.refresh_from_db()
    assert run.state == "finished"
    assert check_sum(run)["accepted"] == len(sink.seen) > 10
