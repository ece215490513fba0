import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from delivery import esps
from delivery.channels.esp import EspChannel, write_mail
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured
from engage.lib.http import Response
from tests.delivery.channels.drafts import mail_draft
from tests.providers import ledger


def test_a_mail_arrives_as_it_was_written(esp, service):
    draft = mail_draft(
        "Ann@shop.example", subject="Schöne Grüße €", html="<p>Hé 🎁</p>", text="Hé\n.\nbye",
        sender='Käse, "the" shop <news@shop.example>', headers={"X-Campaign": "ä"},
        unsubscribe_url="https://shop.example/u/abc",
    )  # fmt: skip
    [outcome] = esp.send([draft])
    [mail] = service.seen
    assert outcome == Accepted(mail["MessageID"])
    assert (mail["Subject"], mail["To"], mail["HtmlBody"], mail["TextBody"]) == (
        "Schöne Grüße €", "Ann@shop.example", "<p>Hé 🎁</p>", "Hé\n.\nbye",
    )  # fmt: skip
    assert mail["From"] == '"Käse, \\"the\\" shop" <news@shop.example>'
    assert {one["Name"]: one["Value"] for one in mail["Headers"]} == {
        "X-Campaign": "ä",
        "List-Unsubscribe": "<https://shop.example/u/abc>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Message-ID": f"<{draft.key}@shop.example>",
    }
    assert mail["Metadata"] == {"key": str(draft.key)}


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("406", Refused("rejected", gone=True)),
        ("300", Refused("invalid_address", gone=True)),
        ("401", Refused("http_422")),
        ("10", TryLater("http_401", everybody=True)),
        ("unavailable", TryLater("http_503", 7.0, everybody=True)),
        ("broken", Unknown("http_500", everybody=True)),
        ("html", Unknown("malformed_answer")),
        ("reset", Unknown("connection_broke")),
    ],
)
def test_answers_are_classed_for_the_one_they_are_about(esp, service, fault, outcome):
    service.faults.play(fault, match="bad", retry_after="7")
    first, second = esp.send([mail_draft("bad@shop.example"), mail_draft("ann@shop.example")])
    assert first == outcome
    assert isinstance(second, Accepted)
    assert service.requests == 2  # nothing is tried again in silence


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"[" * 60_000, Unknown("malformed_answer")),
        (400, b"[" * 60_000, Refused("http_400")),
        (301, b"", TryLater("http_301", everybody=True)),
        (308, b"{}", TryLater("http_308", everybody=True)),
    ],
)
def test_an_answer_that_is_none_of_the_service_breaks_no_batch(esp, status, body, outcome):
    mail = write_mail(mail_draft())
    payload = esp.backend.build_message_payload(mail, esp.backend.send_defaults)
    assert esp.judge(Response(status, {}, body), mail, payload) == outcome


HOSTILE = st.text(max_size=60).map(lambda text: f"x\r\nBcc: eve@evil.example\r\n{text}")


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(HOSTILE)
def test_no_value_makes_a_header_or_a_recipient_of_its_own(esp, service, hostile):
    service.seen.clear()
    draft = mail_draft(
        subject=hostile,
        sender=f'"{hostile}" <news@shop.example>',
        headers={"X-Campaign": hostile},
        unsubscribe_url=f"https://shop.example/u/{hostile}",
        text=hostile,
        html=hostile,
    )
    [outcome] = esp.send([draft])
    if isinstance(outcome, Refused):  # a sender that nobody could read
        assert service.seen == []
        return
    [mail] = service.seen
    assert mail["To"] == "ann@shop.example"
    assert [one["Name"] for one in mail["Headers"]] == [
        "X-Campaign", "List-Unsubscribe", "List-Unsubscribe-Post", "Message-ID",
    ]  # fmt: skip


def test_headers_that_are_ours_cannot_be_set(esp, service):
    for name in ("Bcc", "to", "Message-ID", "Content-Type", "X Y", "X:Y", ""):
        assert esp.send([mail_draft(headers={name: "v"})]) == [Refused("invalid_header")]
    assert service.requests == 0


@pytest.mark.parametrize(
    ("name", "key", "problem"),
    [
        ("", "k", "ENGAGE_EMAIL_ESP is not set"),
        ("postmark", "", "ENGAGE_ESP_KEY is not set"),
        ("amazon_ses", "k", "by ENGAGE_SMTP_URL"),
    ],
)
def test_what_is_missing_is_said(settings, name, key, problem):
    settings.EMAIL_ESP, settings.ESP_KEY = name, key
    with pytest.raises(ChannelNotConfigured, match=problem):
        EspChannel()


@pytest.mark.parametrize("name", [name for name, esp in esps.ESPS.items() if esp.key])
def test_every_service_that_takes_mail_writes_one_request_over_tls(settings, name):
    settings.EMAIL_ESP, settings.ESP_KEY, settings.ESP_DOMAIN = name, "the-key", "shop.example"
    if name != "mailgun":
        settings.ESP_DOMAIN = ""
    channel = EspChannel()
    asked = []
    channel.door.fetch = lambda requests, **_: asked.extend(requests) or []
    with pytest.raises(ValueError, match="zip"):  # nobody answers here
        channel.send([mail_draft()])
    [request] = asked
    assert request.url.startswith("https://")
    assert request.method == "POST"
    assert b"ann@shop.example" in request.body or b"ann%40shop.example" in request.body


def test_mail_by_smtp_needs_no_anymail(settings):
    assert settings.CHANNELS["email"] == "delivery.channels.smtp.SmtpChannel"
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'engage.settings';"
        "django.setup(); import delivery.hooks.views, delivery.channels.registry;"
        "print('anymail' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_keys_in_the_ledger_are_those_of_the_drafts(esp, service):
    drafts = [mail_draft(), mail_draft()]
    esp.send(drafts)
    assert sorted(line["key"] for line in ledger.read(service.ledger.path)) == sorted(
        str(draft.key) for draft in drafts
    )
