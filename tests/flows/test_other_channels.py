"""SMS and webhooks from a launched campaign to a provider's ledger, over real TLS."""

import json

import pytest

from campaigns import fanout, lifecycle, sending
from delivery import endpoints, outbox
from delivery.channels import registry
from delivery.models import Message, Suppression, WebhookEndpoint
from engage.lib import clock
from recommendations.models import HandPicked
from tests.campaigns.conftest import forget_everything
from tests.factories import make_campaign, make_catalog, make_profile, make_slot, make_template
from tests.providers import ledger
from tests.providers import sms as sms_provider
from tests.providers.webhook import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]


@pytest.fixture
def now(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    forget_everything()
    registry.forget_channels()
    make_catalog(products=3)
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3"])
    yield clock.now()
    registry.forget_channels()
    forget_everything()


def run(campaign, now):
    started = lifecycle.launch(campaign, now=now)
    while fanout.plan_chunk(started.pk, now=now, limit=100):
        pass
    sending.send_chunk(campaign.channel, now=now)
    return {state: n for state, n in outbox.count_states(started.pk).items() if n}


def make_plain(channel, body, **fields):
    template = make_template(channel=channel, body=body)
    make_slot(template=template, ladder=["hand_picked"], maximum=2)
    return make_campaign(channel=channel, template=template, **fields)


def test_a_run_of_webhooks_is_verified_by_the_receiver_and_ends_when_it_is_gone(
    now, tmp_path, settings
):
    endpoint = WebhookEndpoint.objects.create(name="orders", url="https://localhost/")
    secrets = endpoints.list_secrets(endpoint, now=now)
    receiver = Receiver(tmp_path / "hooks.jsonl", folder=tmp_path, secrets=secrets)
    body = '{"who": {{ person.id | json }}, "first": {{ slots.picks[0].id | json }}}'
    with receiver.running():
        WebhookEndpoint.objects.update(url=f"{receiver.url}/orders")
        settings.PRIVATE_HOSTS = [("localhost", receiver.port)]
        settings.CA_FILE = str(receiver.ca_file)
        for name in ("ada", "bob", "cid"):
            make_profile(user_id=name)
        assert run(make_plain("webhook", body, endpoint=endpoint), now) == {"accepted": 3}
        lines = ledger.read(receiver.ledger.path)
        assert sorted(json.loads(line["body"])["who"] for line in lines) == ["ada", "bob", "cid"]
        assert {json.loads(line["body"])["first"] for line in lines} == {"p1"}
        keys = Message.objects.values_list("key", flat=True)
        assert {line["key"] for line in lines} == {str(key) for key in keys}
        assert receiver.forged == 0

        receiver.faults.play("410")
        assert run(make_plain("webhook", body, endpoint=endpoint), now) == {"failed": 3}
        endpoint.refresh_from_db()
        assert endpoint.reason == "the receiver answered 410 Gone"
        assert len(ledger.read(receiver.ledger.path)) == 3


def test_a_run_of_sms_reaches_who_opted_in_and_a_stop_at_the_provider_ends_it(
    now, tmp_path, settings
):
    provider = sms_provider.SmsProvider(tmp_path / "sms.jsonl", folder=tmp_path)
    settings.SMS_ACCOUNT, settings.SMS_TOKEN = sms_provider.ACCOUNT, sms_provider.TOKEN
    settings.SMS_FROM, settings.CA_FILE = sms_provider.SENDER, str(provider.ca_file)
    with provider.running():
        settings.SMS_URL = provider.url
        make_profile(phone="+49 170 1111111", opted_in=("sms",), name="Ada")
        make_profile(phone="+49 170 2222222", opted_in=("sms",), name="Bob")
        make_profile(phone="+49 170 3333333", name="Cid")
        make_profile(opted_in=("sms",))
        provider.faults.play("21610", match="+491702222222")
        campaign = make_plain("sms", "{{ profile.name }}: {{ slots.picks[0].name }}. STOP to end")
        assert run(campaign, now) == {"accepted": 1, "failed": 1, "suppressed": 2}
        [line] = ledger.read(provider.ledger.path)
        assert (line["to"], line["text"]) == ("+491701111111", "Ada: Product p1. STOP to end")
        reasons = Message.objects.exclude(reason="").values_list("reason", flat=True)
        assert sorted(reasons) == ["no_address", "no_consent", "opted_out"]
        closed = Suppression.objects.get()
        assert (closed.channel, closed.reason) == ("sms", "unsubscribed")
        provider.faults.stop()
        again = make_plain("sms", "Again. STOP to end")
        again.variants.get().template.slots.all().delete()
        assert run(again, now) == {"accepted": 1, "suppressed": 3}
