"""From planned rows to a provider's ledger and back, over real SMTP, real HTTP/2 and real TLS."""

import re
from email import message_from_bytes, policy

import pytest
from django.test import Client

from delivery import links, outbox, reports
from delivery.channels import registry
from delivery.dispatch import dispatch
from engage.profiles.models import Consent, Device, Profile
from tests.delivery.sending import email_content, make_draft, push_content
from tests.factories import NOON, make_message, make_profile
from tests.providers import ledger
from tests.providers.fcm import Fcm
from tests.providers.smtp import SmtpSink

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sink(tmp_path, settings):
    sink = SmtpSink(tmp_path / "mail.jsonl", captured=tmp_path / "captured")
    with sink.running():
        settings.SMTP_URL = f"smtp://127.0.0.1:{sink.port}"
        yield sink
        registry.forget_channels()


@pytest.fixture
def fcm(tmp_path, settings):
    fcm = Fcm(tmp_path / "push.jsonl", folder=tmp_path)
    with fcm.running():
        settings.FCM_URL, settings.CA_FILE = fcm.url, str(fcm.ca_file)
        settings.FCM_CREDENTIALS_FILE = str(fcm.credentials_file)
        yield fcm
        registry.forget_channels()


def compose_mail(addresses):
    def compose(messages):
        return [
            make_draft(
                m,
                address=addresses[m.profile_id],
                content=email_content(
                    html=links.tracked_html(
                        '<p><a href="https://shop.example/p1">Product</a>'
                        f'<a href="{links.unsubscribe_url(m)}">Unsubscribe</a></p>',
                        m,
                        [links.ShownItem("https://shop.example/p1", "p1", 1)],
                    ),
                    unsubscribe_url=links.unsubscribe_url(m),
                ),
                items=[{"slot": "picks", "item": "p1", "rank": 1}],
            )
            for m in messages
        ]

    return compose


def plan_mail(count: int) -> dict[int, str]:
    addresses = {}
    for n in range(count):
        person = make_profile(user_id=f"u{n}", email=f"p{n}@shop.example", opted_in=("email",))
        make_message(profile=person, run_id=4)
        addresses[person.pk] = f"p{n}@shop.example"
    return addresses


def test_a_run_of_mails_ends_in_counted_states_that_match_the_ledger(sink):
    addresses = plan_mail(40)
    sink.faults.play("rcpt:550 5.1.1 nobody", match="p3@")
    sink.faults.play("accept_then_reset", match="p7@")
    sink.faults.play("rcpt:450 4.2.0 greylisted", match="p9@")
    report = dispatch(channel="email", compose=compose_mail(addresses), limit=100, now=NOON)
    assert report.claimed == 40
    states = {state: n for state, n in outbox.count_states(4).items() if n}
    assert states == {"accepted": 37, "failed": 1, "unknown": 1, "planned": 1}
    keys = [line["key"] for line in ledger.read(sink.ledger.path)]
    assert len(keys) == len(set(keys)) == 38  # the accepted ones and the one nobody answered for


def test_a_mail_is_opened_clicked_and_left_by_its_own_links(sink, redis_keys):
    addresses = plan_mail(1)
    dispatch(channel="email", compose=compose_mail(addresses), limit=10, now=NOON)
    mail = message_from_bytes(sink.seen[0][1], policy=policy.default)
    html = mail.get_body(("html",)).get_content()
    click, out, _trap = re.findall(r'href="https?://[^/]+([^"]*)"', html)
    [pixel] = re.findall(r'<img src="https?://[^/]+([^"]*)"', html)
    one_click = re.sub(r"^<https?://[^/]+|>$", "", mail["list-unsubscribe"])
    browser = Client(HTTP_USER_AGENT="Mozilla/5.0 (Macintosh) Safari/605")
    assert browser.get(pixel).status_code == 200
    assert browser.get(click)["Location"] == "https://shop.example/p1"
    assert browser.get(out).status_code == 200
    assert Consent.objects.get(channel="email").status == "opted_in"
    assert browser.post(one_click, {"List-Unsubscribe": "One-Click"}).status_code == 200
    figures = reports.run_figures(4)
    assert (figures["opens"], figures["clicks"], figures["unsubscribes"]) == (1, 1, 1)
    assert reports.top_products(4) == [{"item": "p1", "shown": 1, "clicked": 1}]
    make_message(profile=Profile.objects.get(), run_id=5)
    report = dispatch(channel="email", compose=compose_mail(addresses), limit=10, now=NOON)
    assert dict(report.reasons) == {"no_consent": 1}
    assert len(ledger.read(sink.ledger.path)) == 1


def test_a_run_of_pushes_retires_the_tokens_that_are_gone(fcm):
    tokens = {}
    for n in range(60):
        person = make_profile(push_token=f"token-{n}-")
        make_message(profile=person, channel="push", address_id=f"d{person.pk}", run_id=4)
        tokens[person.pk] = f"token-{n}-"
    fcm.faults.play("unregistered", match="token-5-")
    fcm.faults.play("unavailable", match="token-6-", retry_after="7")

    def compose(messages):
        return [
            make_draft(m, address=tokens[m.profile_id], content=push_content()) for m in messages
        ]

    dispatch(channel="push", compose=compose, limit=100, now=NOON)
    states = {state: n for state, n in outbox.count_states(4).items() if n}
    assert states == {"accepted": 58, "failed": 1, "planned": 1}
    assert len({line["key"] for line in ledger.read(fcm.ledger.path)}) == 58
    assert Device.objects.get(gone_at__isnull=False).token == "token-5-"
