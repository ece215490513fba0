"""A push campaign that goes by the inbox at night: one decision a person, and sums that hold."""

from datetime import time, timedelta

import pytest

from campaigns import decisions, lifecycle, runs, sending, stats
from campaigns.admin import run_page
from campaigns.compose import compose
from campaigns.models import Run
from delivery.channels import registry
from delivery.models import InboxMessage, Message, QuietHours
from engage.profiles.models import Device
from engage.profiles.store import store_events
from tests.campaigns.test_timing import plan_all
from tests.campaigns.test_triggers import does, take
from tests.delivery.sending import RecordingChannel, use_channel
from tests.engage.profiles.events import alias
from tests.factories import make_campaign, make_profile, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture
def push():
    yield use_channel(RecordingChannel(), name="push")
    registry.forget_channels()


@pytest.fixture
def run(now) -> Run:
    """In Europe it is day, in Tokyo night. Each has two devices."""
    QuietHours.objects.create(begin=time(20), end=time(8))
    for zone in ("Europe/Berlin", "Asia/Tokyo"):
        person = make_profile(timezone=zone, user_id=zone)
        for number in (1, 2):
            Device.objects.create(profile=person, device_id=f"{zone} {number}",
                                  token=f"{zone} {number}", last_seen=now)  # fmt: skip
    campaign = make_campaign(
        channel="push",
        template=make_template(channel="push", title="Ring"),
        quiet="inbox",
        quiet_template=make_template(channel="inbox", title="Whisper"),
    )
    run = lifecycle.launch(campaign, now=now)
    plan_all(run, now=now)
    return run


def test_who_sleeps_finds_one_message_in_the_inbox_and_the_others_get_their_pushes(run, push, now):
    assert sending.send_chunk("push", now=now).states == {
        "accepted": 2, "planned": 1, "suppressed": 1,
    }  # fmt: skip
    assert runs.finish_done(now) == 0
    later = now + timedelta(minutes=1)
    assert sending.send_chunk("inbox", now=later).states == {"accepted": 1}
    assert sorted(push.addresses) == ["Europe/Berlin 1", "Europe/Berlin 2"]
    assert [draft.content.title for draft in push.calls[0]] == ["Ring", "Ring"]
    whisper = InboxMessage.objects.get()
    assert whisper.content["title"] == {"text": "Whisper"}
    assert runs.finish_done(later) == 1
    run.refresh_from_db()
    figures = stats.run_page(run)["figures"]
    assert run.planned == figures["planned"] == 4
    assert figures["states"]["accepted"] == 3
    assert figures["reasons"] == {"quiet_hours": 1}  # of the second device


def test_each_person_has_one_decision_that_says_by_which_channel(run, push, now):
    sending.send_chunk("push", now=now)
    sending.send_chunk("inbox", now=now + timedelta(minutes=1))
    found = decisions.list_decisions(run.pk)
    assert [(one.decision, one.channel) for one in found] == [
        ("accepted", "push"), ("accepted", "inbox"),
    ]  # fmt: skip
    page = run_page.describe_people(run, decision="", reason="", person="", after=0)
    assert [line["detail"] for line in page["lines"]] == [
        "", "by Inbox, because of quiet hours",
    ]  # fmt: skip


def test_a_campaign_that_lost_its_other_words_says_nothing_by_that_channel(run, push, now):
    sending.send_chunk("push", now=now)
    [message] = Message.objects.filter(channel="inbox")
    run.campaign.quiet_template = None
    run.campaign.save()
    assert [one.reason for one in compose([message], now=now)] == ["no_content"]


# --- what an event sends ---------------------------------------------------------------------


@pytest.fixture
def email():
    return use_channel(RecordingChannel(), name="email")


def make_ada(now, *, devices: int) -> None:
    ada = make_profile(user_id="ada", email="ada@shop.example", opted_in=("email",))
    for number in range(devices):
        Device.objects.create(
            profile=ada, device_id=f"ada {number}", token=f"ada {number}", last_seen=now
        )


def views_cart(now) -> None:
    """Ada does what a push waits for that goes by e-mail at night, and it is night."""
    campaign = make_campaign(
        channel="push",
        template=make_template(channel="push", title="Ring"),
        quiet="email",
        quiet_template=make_template(channel="email", subject="Whisper", body="<p>Hello</p>"),
        schedule="event",
        on_event="Cart Viewed",
    )
    lifecycle.launch(campaign, now=now - timedelta(hours=1))
    does()
    assert take() > 0
    QuietHours.objects.create(begin=time(11), end=time(20))


def send_all(now) -> None:
    for seconds in range(4):
        sending.send_chunk("push", now=now + timedelta(seconds=seconds))
    sending.send_chunk("email", now=now + timedelta(minutes=1))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_keys")
def test_what_an_event_sends_at_night_goes_by_mail_once_for_two_devices(push, email, now):
    make_ada(now, devices=2)
    views_cart(now)
    send_all(now)
    assert (push.addresses, email.addresses) == ([], ["ada@shop.example"])
    assert Message.objects.filter(reason="quiet_hours").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_keys")
@pytest.mark.parametrize("devices", [0, 1, 2])
def test_moved_on_to_a_survivor_with_two_devices_it_is_still_one_mail(push, email, now, devices):
    make_ada(now, devices=devices)
    king = make_profile(user_id="king", email="king@shop.example", opted_in=("email",))
    for number in (1, 2):
        Device.objects.create(
            profile=king, device_id=f"king {number}", token=f"king {number}", last_seen=now
        )
    views_cart(now)
    store_events([alias("ada", "king")], now=now)
    send_all(now)
    assert (push.addresses, email.addresses) == ([], ["king@shop.example"])
    assert Message.objects.filter(reason="quiet_hours").count() == devices + 1
