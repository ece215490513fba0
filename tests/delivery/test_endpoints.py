import base64
import json
from datetime import timedelta

import pytest
from django.core import serializers
from standardwebhooks import Webhook

from delivery import dispatch, endpoints, suppression
from delivery.channels.webhook import encode
from delivery.drafts import Refused
from delivery.models import Suppression, WebhookEndpoint
from engage.lib import clock
from tests.delivery.channels.drafts import webhook_draft
from tests.factories import make_message, make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint():
    return WebhookEndpoint.objects.create(name="orders", url="https://hooks.shop.example/orders")


def test_a_secret_is_32_bytes_and_the_same_every_time(endpoint, now):
    [secret] = endpoints.list_secrets(endpoint, now=now)
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert endpoints.list_secrets(endpoint, now=now) == [secret]


def test_no_column_holds_the_secret(endpoint, now):
    [secret] = endpoints.list_secrets(endpoint, now=now)
    assert secret.removeprefix("whsec_") not in serializers.serialize("json", [endpoint])


def test_endpoints_have_secrets_of_their_own(endpoint, now):
    other = WebhookEndpoint.objects.create(name="stock", url=endpoint.url)
    assert endpoints.list_secrets(other, now=now) != endpoints.list_secrets(endpoint, now=now)


def test_the_old_secret_signs_for_a_day_after_a_rotation(endpoint, now):
    [old] = endpoints.list_secrets(endpoint, now=now)
    endpoints.rotate(endpoint, now=now)
    day = timedelta(hours=24)
    new, kept = endpoints.list_secrets(endpoint, now=now + day - timedelta(seconds=1))
    assert (kept, endpoints.list_secrets(endpoint, now=now + day)) == (old, [new])
    assert new != old


def test_after_a_change_of_our_own_key_a_receiver_still_verifies(endpoint, now, settings):
    [old] = endpoints.list_secrets(endpoint, now=now)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of more than thirty-two letters"
    new, fallback = endpoints.list_secrets(endpoint, now=now)
    assert (new != old, fallback) == (True, old)
    request = encode(webhook_draft(endpoint.url, secrets=[new, fallback]), now=clock.now())
    headers = dict(line.split(": ", 1) for line in request.headers)
    for secret in (new, old):
        assert Webhook(secret).verify(request.body, headers) == json.loads(request.body)


def test_a_receiver_that_is_gone_gets_nothing_more(endpoint, now):
    other = WebhookEndpoint.objects.create(name="stock", url="https://hooks.shop.example/stock")
    message = make_message(profile=make_profile(), channel="webhook")
    dispatch.retire(message, endpoint.url, Refused("http_410", gone=True), now=now)
    endpoint.refresh_from_db()
    other.refresh_from_db()
    assert (endpoint.disabled_at, other.disabled_at) == (now, None)
    assert endpoint.reason == "the receiver answered 410 Gone"
    assert Suppression.objects.count() == 0


def test_a_number_is_suppressed_however_it_is_written(now):
    suppression.suppress("+49 (170) 123-4567", channel="sms", reason="unsubscribed")
    assert suppression.is_suppressed("+491701234567", channel="sms")
    assert not suppression.is_suppressed("+491701234568", channel="sms")


@pytest.mark.parametrize(("reason", "closed"), [("opted_out", False), ("sms_21614", True)])
def test_a_stop_at_the_provider_is_taken_back_by_an_opt_in_and_no_other_end(reason, closed, now):
    message = make_message(profile=make_profile(), channel="sms")
    dispatch.retire(message, "+491701234567", Refused(reason, gone=True), now=now)
    assert suppression.is_suppressed("+491701234567", channel="sms")
    assert suppression.is_blocked("+491701234567", channel="sms") is closed
