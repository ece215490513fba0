from datetime import timedelta

import pytest

from campaigns.errors import NotReady
from campaigns.test_send import describe, send_test
from delivery.models import Message
from engage.profiles.models import Device
from tests.factories import make_campaign, make_profile

pytestmark = pytest.mark.django_db


def test_a_test_is_a_planned_message_outside_any_run(now):
    campaign, person = make_campaign(topic="news"), make_profile(email="a@x.example")
    message = send_test(campaign, person.pk, now=now)
    row = Message.objects.get()
    assert (row.id, row.kind, row.state, row.run_id) == (message.id, "test", "planned", None)
    assert (row.campaign_id, row.topic, row.not_before) == (campaign.pk, "news", now)
    assert f"profile {person.pk}" in describe(message)


def test_a_wish_that_comes_twice_is_one_message(now):
    campaign, person = make_campaign(), make_profile(email="a@x.example")
    first = send_test(campaign, person.pk, now=now, once="1")
    assert send_test(campaign, person.pk, now=now + timedelta(seconds=1), once="1").id == first.id
    assert Message.objects.count() == 1
    send_test(campaign, make_profile().pk, now=now, once="1")
    send_test(campaign, person.pk, now=now, once="2")
    send_test(campaign, person.pk, now=now)
    assert Message.objects.count() == 4


def test_a_test_of_a_push_goes_to_one_device(now):
    person = make_profile(push_token="t1")
    Device.objects.create(profile=person, device_id="tablet", token="t2", last_seen=now)
    send_test(make_campaign(channel="push"), person.pk, now=now)
    assert Message.objects.get().address_id in {"tablet", f"d{person.pk}"}


def test_a_campaign_without_wording_or_of_the_app_cannot_be_tested(now):
    person = make_profile()
    empty = make_campaign()
    empty.variants.all().delete()
    for campaign in (empty, make_campaign(channel="in_app")):
        with pytest.raises(NotReady):
            send_test(campaign, person.pk, now=now)
    assert Message.objects.count() == 0


def test_a_test_of_a_web_push_goes_to_a_browser(now):
    person = make_profile(push_token="t1")
    subscription = '{"endpoint": "https://push.example/1", "keys": {}}'
    Device.objects.create(
        profile=person, device_id="browser", token=subscription, platform="web", last_seen=now
    )
    send_test(make_campaign(channel="web_push"), person.pk, now=now)
    send_test(make_campaign(channel="push"), person.pk, now=now)
    assert sorted(Message.objects.values_list("channel", "address_id")) == [
        ("push", f"d{person.pk}"), ("web_push", "browser"),
    ]  # fmt: skip


@pytest.mark.parametrize("channel", ["sms", "webhook", "inbox"])
def test_a_test_of_an_sms_webhook_or_inbox_is_one_message(now, channel):
    send_test(make_campaign(channel=channel), make_profile(phone="+491701234567").pk, now=now)
    assert Message.objects.get().channel == channel
