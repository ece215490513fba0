import base64
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from django.test import Client
from standardwebhooks.webhooks import Webhook

from delivery import suppression
from delivery.hooks.twilio import sign
from engage.lib import clock
from tests.factories import make_message, make_profile

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
PASSWORD = "hooks:a-long-password-of-ours"
BASIC = "Basic " + base64.b64encode(PASSWORD.encode()).decode()


@pytest.fixture
def doors(settings, redis_keys):
    """All doors open, with their secrets."""
    settings.HOOK_SECRET = SECRET
    settings.EMAIL_ESP, settings.ANYMAIL_WEBHOOK_SECRET = "postmark", [PASSWORD]
    settings.SMS_ACCOUNT, settings.SMS_TOKEN = "AC1", "sesame"
    settings.PUBLIC_URL = "https://engage.example"
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def person():
    return make_profile(
        user_id="ann", email="new@shop.example", phone="+15550002222", opted_in=("email", "sms")
    )


@pytest.fixture
def mail(person):
    """A mail that went to an address which the person has no more."""
    return make_message(
        profile=person,
        state="accepted",
        provider_id="pm-1",
        address_digest=suppression.digest("old@shop.example", channel="email"),
    )


@pytest.fixture
def text(person):
    return make_message(
        profile=person,
        channel="sms",
        state="accepted",
        provider_id="SM1",
        address_digest=suppression.digest("+15550002222", channel="sms"),
    )


def post_signed(client, lines, *, at: datetime | None = None, secret: str = SECRET, body=None):
    """As a relay does; signed by the standard's own library."""
    body = json.dumps(lines) if body is None else body
    at = at or clock.now()
    headers = {
        "webhook-id": "id-1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("id-1", at.astimezone(UTC), body),
    }
    return client.post("/hooks/engage/", body, content_type="application/json", headers=headers)


def post_esp(client, said: dict, *, password: str = BASIC):
    headers = {"Authorization": password} if password else {}
    return client.post(
        "/hooks/postmark/", json.dumps(said), content_type="application/json", headers=headers
    )


def post_twilio(client, form: dict, *, path: str = "/hooks/twilio/", token: str = "sesame"):
    signature = sign(f"https://engage.example{path}", list(form.items()), token=token)
    return client.post(
        path,
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    )
