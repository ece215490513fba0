"""Pushes to iPhones, Androids and browsers, from a launched campaign to what the device reads."""

import json

import pytest
from django.core.management import call_command

from delivery.channels import registry
from delivery.models import Message
from engage.lib import clock
from engage.profiles.models import Device
from recommendations.models import HandPicked
from tests.campaigns.conftest import forget_everything
from tests.factories import make_campaign, make_catalog, make_profile, make_slot, make_template
from tests.flows.test_other_channels import run
from tests.providers import ledger
from tests.providers.apns import Apns
from tests.providers.fcm import Fcm
from tests.providers.web_push import WebPush

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]
IPHONE, LOST_IPHONE = "ab" * 32, "cd" * 32


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


def make_person(token, platform):
    person = make_profile(push_token=token)
    Device.objects.filter(profile=person).update(platform=platform)
    return person


def make_push(channel):
    template = make_template(
        channel=channel,
        title="{{ slots.picks[0].name }}",
        body="For you",
        link="{{ slots.picks[0].link }}",
    )
    make_slot(template=template, ladder=["hand_picked"], maximum=1)
    return make_campaign(channel=channel, template=template)


def test_a_run_of_pushes_reaches_each_phone_by_its_provider(now, tmp_path, settings):
    (tmp_path / "apns").mkdir()
    fcm = Fcm(tmp_path / "fcm.jsonl", folder=tmp_path)
    apns = Apns(tmp_path / "apns.jsonl", folder=tmp_path / "apns")
    settings.CA_FILE = str(tmp_path / "both.pem")
    (tmp_path / "both.pem").write_bytes(fcm.ca_file.read_bytes() + apns.ca_file.read_bytes())
    settings.FCM_CREDENTIALS_FILE = str(fcm.credentials_file)
    settings.APNS_KEY_FILE = str(apns.key_file)
    settings.APNS_KEY_ID, settings.APNS_TEAM_ID = apns.key_id, apns.team_id
    settings.APNS_TOPIC = apns.topic
    make_person(IPHONE, "ios")
    lost = make_person(LOST_IPHONE, "ios")
    make_person("token-of-firebase", "ios")
    make_person("token-of-android", "android")
    apns.faults.play("Unregistered", match=LOST_IPHONE)
    with fcm.running(), apns.running():
        settings.FCM_URL, settings.APNS_URL = fcm.url, apns.url
        assert run(make_push("push"), now) == {"accepted": 3, "failed": 1}
        assert [line["to"] for line in ledger.read(apns.ledger.path)] == [IPHONE]
        taken = [line["to"] for line in ledger.read(fcm.ledger.path)]
        assert sorted(taken) == ["token-of-android", "token-of-firebase"]
        assert Message.objects.get(state="failed").reason == "unregistered"
        gone = Device.objects.exclude(gone_at=None)
        assert [device.profile_id for device in gone] == [lost.pk]
        assert run(make_push("push"), now) == {"accepted": 3, "suppressed": 1}


def test_a_run_of_web_pushes_is_read_by_the_browsers(now, tmp_path, settings):
    service = WebPush(tmp_path / "web.jsonl", folder=tmp_path)
    settings.CA_FILE = str(service.ca_file)
    settings.VAPID_KEY_FILE = str(tmp_path / "vapid.pem")
    settings.VAPID_SUBJECT = "mailto:push@shop.example"
    call_command("make_vapid_key", settings.VAPID_KEY_FILE)
    service.faults.play("410", match="/push/left")
    with service.running():
        settings.PRIVATE_HOSTS = [("localhost", service.port)]
        make_person(service.subscribe("ann"), "web")
        left = make_person(service.subscribe("left"), "web")
        make_person("token-of-android", "android")
        assert run(make_push("web_push"), now) == {"accepted": 1, "failed": 1, "suppressed": 1}
        [line] = ledger.read(service.ledger.path)
        read = json.loads(line["text"])
        assert (line["to"], read["title"], read["body"]) == ("/push/ann", "Product p1", "For you")
        assert "/t/c/" in read["link"]
        assert read["data"]["message_id"] == str(Message.objects.get(state="accepted").id)
        gone = Device.objects.exclude(gone_at=None)
        assert [device.profile_id for device in gone] == [left.pk]
        assert service.problems == []
