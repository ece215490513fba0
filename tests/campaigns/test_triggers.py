"""Campaigns that an event sends, from what somebody does to the message at the door."""

import time
from contextlib import suppress
from datetime import time as wall
from datetime import timedelta
from unittest.mock import Mock

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from campaigns import decisions, lifecycle, runs, sending, test_send, triggers
from campaigns.compose import compose
from campaigns.errors import NotReady
from campaigns.models import Campaign, Occasion, Run, Segment
from campaigns.tasks import take_triggers
from delivery import outbox
from delivery.drafts import Draft
from delivery.models import Cap, Message
from delivery.policy import Drop
from engage.profiles import erasure, notices
from engage.profiles.models import Device, Notice, NoticeCursor, Profile, WatchedEvent
from engage.profiles.store import store_events
from tests.delivery.sending import RecordingChannel, use_channel
from tests.engage.profiles.events import make_event
from tests.factories import NOON, make_campaign, make_profile, make_segment, make_template

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BODY = "<p>Still want {{ event.product_id }}, {{ profile.first_name | default: 'you' }}?</p>"


@pytest.fixture
def ada() -> Profile:
    return make_profile(
        user_id="ada", email="ada@shop.example", first_name="Ada", opted_in=("email",)
    )


def launched(*, channel="email", now=NOON - HOUR, on_event="Cart Viewed", **fields) -> Campaign:
    template = make_template(channel=channel, body=BODY, subject="{{ event.product_id }}")
    campaign = make_campaign(
        channel=channel, template=template, schedule="event", on_event=on_event, **fields
    )
    lifecycle.launch(campaign, now=now)
    return campaign


def does(name="Cart Viewed", *, user="ada", at=NOON, stored=None, **properties) -> None:
    properties = properties or {"product_id": "p1"}
    event = make_event(name, user_id=user, received_at=stored or at, properties=properties)
    event = make_event(
        name, user_id=user, received_at=stored or at, properties=properties,
        seconds=(at - NOON).total_seconds(), message_id=event.message_id,
    )  # fmt: skip
    store_events([event], now=stored or at)


def take(now=NOON) -> int:
    """What was stored is final when every older transaction of the server ended."""
    deadline = time.monotonic() + 10
    planned = triggers.take(now=now).planned
    while not _is_read() and time.monotonic() < deadline:
        time.sleep(0.01)
        planned += triggers.take(now=now).planned
    return planned


def _is_read() -> bool:
    place = NoticeCursor.objects.get(consumer=triggers.CONSUMER)
    return not Notice.objects.filter(txid__gt=place.txid).exists()


# --- from the event to the message -----------------------------------------------------------


def test_who_does_it_gets_the_message_with_what_they_did(ada):
    channel = use_channel(RecordingChannel())
    campaign = launched()
    does(product_id="p7")
    assert take() == 1
    message = Message.objects.get()
    assert (message.kind, message.profile_id, message.not_before) == ("triggered", ada.pk, NOON)
    assert message.run_id == campaign.runs.get().pk
    assert sending.send_chunk("email", now=NOON).states == {"accepted": 1}
    [[draft]] = channel.calls
    assert draft.content.subject == "p7"
    assert "<p>Still want p7, Ada?</p>" in draft.content.html
    assert draft.content.unsubscribe_url != ""
    assert campaign.runs.values_list("audience", "planned", "held_out").get() == (1, 1, 0)


def test_an_event_sends_once_however_often_notices_are_taken(ada):
    launched()
    does()
    assert (take(), take(), Message.objects.count()) == (1, 0, 1)


def test_nothing_is_lost_when_planning_breaks_off(ada, monkeypatch):
    launched()
    does()
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "plan", Mock(side_effect=ConnectionError))
        with pytest.raises(ConnectionError):
            take()
    assert Message.objects.count() == 0
    assert (take(), Message.objects.count()) == (1, 1)


def test_another_event_and_other_properties_send_nothing(ada):
    launched(on_where=[{"property": "value", "op": ">", "value": 50}], again_after=timedelta(0))
    does(name="Cart Emptied", value=80)
    does(value=50)
    does(value=51)
    assert take() == 1
    assert Occasion.objects.get().properties == {"value": 51}


def test_what_happened_before_the_launch_or_came_in_late_is_history(ada):
    launched(now=NOON, max_lateness=HOUR)
    does(at=NOON - MINUTE)
    does(at=NOON + MINUTE, stored=NOON + MINUTE + 2 * HOUR)
    assert take() == 0
    does(at=NOON + MINUTE, stored=NOON + HOUR)
    assert take() == 1


def test_a_phone_with_a_clock_ahead_does_not_wait_for_the_future(ada):
    launched()
    does(at=NOON + 5 * HOUR, stored=NOON)
    take()
    assert Message.objects.get().not_before == NOON


def test_only_members_of_the_segment_get_it(ada):
    make_profile(user_id="bob", email="bob@shop.example", opted_in=("email",))
    launched(segment=make_segment(rule={"attribute": "first_name", "op": "=", "value": "Ada"}))
    does()
    does(user="bob")
    assert take() == 1
    assert Message.objects.get().profile_id == ada.pk


def test_a_push_goes_to_every_device_as_one_message_to_caps(now):
    make_profile(user_id="ada", push_token="t1")
    Device.objects.create(
        profile=Profile.objects.get(), device_id="tablet", token="t2", last_seen=now
    )
    Cap.objects.create(name="one a day", most=1)
    channel = use_channel(RecordingChannel(), name="push")
    launched(channel="push", again_after=HOUR)
    does()
    does(at=NOON + HOUR)
    assert take(NOON + HOUR) == 4
    for minute in range(3):  # two want to go: each waits until it is known what the other is worth
        sending.send_chunk("push", now=NOON + HOUR + minute * MINUTE)
    ended = Message.objects.values_list("state", "reason").order_by("state")
    assert list(ended) == [("accepted", "")] * 2 + [("suppressed", "capped")] * 2
    assert sorted(channel.addresses) == ["t1", "t2"]


def test_somebody_without_consent_is_planned_and_the_door_says_why():
    use_channel(RecordingChannel())
    make_profile(user_id="ada", email="ada@shop.example")
    launched()
    does()
    take()
    assert sending.send_chunk("email", now=NOON).reasons == {"no_consent": 1}


def test_a_test_shows_what_its_person_did_last(ada):
    campaign = launched()
    does(product_id="p1")
    does(product_id="p2", at=NOON + MINUTE)
    message = test_send.send_test(campaign, ada.pk, now=NOON + HOUR)
    [draft] = compose([message], now=NOON + HOUR)
    assert draft.content.subject == "p2"


# --- when ------------------------------------------------------------------------------------


def test_it_waits_from_the_event_on_and_expires_after_that(ada):
    launched(on_wait=2 * HOUR, expires_after=HOUR)
    does(at=NOON, stored=NOON + MINUTE)
    take(NOON + MINUTE)
    message = Message.objects.get()
    assert (message.not_before, message.expires_at) == (NOON + 2 * HOUR, NOON + 3 * HOUR)


def test_the_cut_off_is_by_the_persons_clock(ada):
    Profile.objects.update(attributes=ada.attributes | {"timezone": "Asia/Tokyo"})
    launched(cut_off=wall(22, 0))  # 13:00 UTC
    does()
    take()
    assert Message.objects.get().expires_at == NOON + HOUR


def test_who_did_the_other_thing_meanwhile_does_not_get_it(ada):
    launched(on_wait=HOUR, unless_event="Order Completed", again_after=timedelta(0))
    does(name="Order Completed", at=NOON - MINUTE)
    does()
    take()
    [draft] = compose(list(Message.objects.all()), now=NOON + HOUR)
    assert isinstance(draft, Draft)
    does(name="Order Completed", at=NOON + MINUTE)
    assert compose(list(Message.objects.all()), now=NOON + HOUR) == [Drop("did_meanwhile")]
    does(at=NOON + 2 * MINUTE)  # another cart, after the order
    take(NOON + 2 * MINUTE)
    later = Message.objects.latest("not_before")
    [draft] = compose([later], now=NOON + 2 * HOUR)
    assert isinstance(draft, Draft)


def test_who_does_it_again_too_soon_gets_it_once(ada):
    launched(again_after=DAY)
    does(at=NOON)
    does(at=NOON + HOUR)
    assert take(NOON + HOUR) == 1
    does(at=NOON + DAY - MINUTE)
    does(at=NOON + DAY)
    assert take(NOON + DAY) == 1
    kept = Occasion.objects.order_by("created_at").values_list("created_at", flat=True)
    assert list(kept) == [NOON, NOON + DAY]


# --- who they are ----------------------------------------------------------------------------


def test_somebody_who_was_merged_meanwhile_gets_it_as_who_they_are_now(ada):
    launched()
    does(user="guest")
    guest = Profile.objects.exclude(pk=ada.pk).get()
    Profile.objects.filter(pk=guest.pk).update(merged_into=ada.pk)
    take()
    assert Message.objects.get().profile_id == ada.pk
    does(at=NOON + MINUTE)
    assert take(NOON + MINUTE) == 0, "not again so soon, whoever they were then"


def test_a_waiting_message_moves_on_with_its_person_and_what_they_did(ada):
    channel = use_channel(RecordingChannel())
    campaign = launched(on_wait=HOUR, unless_event="Order Completed", again_after=timedelta(0))
    for minute in (0, 1):
        does(user="guest", at=NOON + minute * MINUTE, product_id=f"p{minute}")
    take(NOON + MINUTE)
    guest = Profile.objects.exclude(pk=ada.pk).get()
    Profile.objects.filter(pk=guest.pk).update(merged_into=ada.pk)
    sending.send_chunk("email", now=NOON + HOUR)
    sending.send_chunk("email", now=NOON + HOUR)
    assert [draft.content.subject for [draft] in channel.calls] == ["p0"]
    assert channel.addresses == ["ada@shop.example"]
    does(name="Order Completed", at=NOON + HOUR)
    for _ in range(2):
        report = sending.send_chunk("email", now=NOON + 2 * HOUR)
    assert report.reasons == {"did_meanwhile": 1}
    assert (campaign.runs.get().planned, Message.objects.count()) == (4, 4)


def test_nothing_comes_of_the_events_of_the_erased(ada):
    launched()
    does()
    erasure.erase(ada.pk, now=NOON)
    assert (take(), Message.objects.count(), Occasion.objects.count()) == (0, 0, 0)


def test_the_control_group_gets_nothing_and_is_counted_once(ada):
    campaign = launched(control_percent=100, again_after=timedelta(0))
    does()
    does(at=NOON + MINUTE)
    assert take(NOON + MINUTE) == 0
    run = campaign.runs.get()
    assert (run.audience, run.planned, run.held_out) == (1, 0, 1)
    assert decisions.count_decisions(run.pk) == [("held_out", "", 1)]


# --- the life of the campaign ----------------------------------------------------------------


def test_a_paused_campaign_lets_events_pass_and_keeps_what_it_has(ada):
    use_channel(RecordingChannel())
    campaign = launched(again_after=timedelta(0))
    does()
    take()
    lifecycle.pause(campaign, now=NOON)
    does(at=NOON + MINUTE)
    assert take(NOON + MINUTE) == 0
    assert sending.send_chunk("email", now=NOON + MINUTE).claimed == 0
    lifecycle.resume(campaign, now=NOON + HOUR)
    assert take(NOON + HOUR) == 0
    assert sending.send_chunk("email", now=NOON + HOUR).states == {"accepted": 1}


def test_a_campaign_that_is_broken_later_stops_itself_and_no_other(ada):
    segment = make_segment()
    broken = launched(segment=segment)
    fine = launched()
    Segment.objects.filter(pk=segment.pk).update(rule={"no": "rule"})
    does()
    while not Message.objects.exists():
        take_triggers()
    assert Message.objects.get().campaign_id == fine.pk
    broken.refresh_from_db()
    run = broken.runs.get()
    assert (run.state, broken.state) == ("paused", "paused")
    assert "events cannot send it: rule: expected exactly one of: all" in run.stopped_because


def test_a_batch_too_large_for_the_time_of_the_task_is_taken_in_smaller_ones(ada, monkeypatch):
    launched(again_after=timedelta(0))
    store_events([make_event("Cart Viewed", user_id="ada") for _ in range(180)], now=NOON)
    plan = outbox.plan

    def slow(messages):
        if len(messages) > triggers.FIRST_LIMIT:
            raise SoftTimeLimitExceeded
        return plan(messages)

    monkeypatch.setattr(outbox, "plan", slow)
    for planned in (50, 100, 180):
        with suppress(SoftTimeLimitExceeded):
            while Message.objects.count() < planned:
                take_triggers()
        assert Message.objects.count() == planned


def test_a_campaign_goes_on_until_it_ends_or_is_cancelled(ada):
    campaign = launched(ends_at=NOON + HOUR, again_after=timedelta(0))
    runs.finish_done(NOON)
    assert campaign.runs.get().state == Run.State.SENDING
    does(at=NOON + HOUR - MINUTE)
    does(at=NOON + HOUR + MINUTE)
    runs.finish_done(NOON + HOUR)
    assert take(NOON + HOUR) == 1
    use_channel(RecordingChannel())
    sending.send_chunk("email", now=NOON + HOUR)
    runs.finish_done(NOON + HOUR + MINUTE)
    campaign.refresh_from_db()
    assert (campaign.runs.get().state, campaign.state) == ("finished", "finished")


def test_events_leave_notices_only_while_somebody_waits_for_them(ada):
    does()
    assert Notice.objects.count() == 0
    campaign = launched()
    other = launched(on_event="Product Viewed")
    does()
    assert Notice.objects.count() == 1
    lifecycle.cancel(campaign, now=NOON)
    assert list(WatchedEvent.objects.values_list("name", flat=True)) == [other.on_event]
    does(at=NOON + MINUTE)
    assert Notice.objects.count() == 1


def test_notices_that_concern_no_campaign_are_not_kept_for_this_consumer(ada):
    launched()
    take()
    does(name="Notification Viewed", at=NOON - 40 * DAY, stored=NOON - 40 * DAY)
    assert Notice.objects.count() == 1
    take()
    assert notices.drop_old(now=NOON, days=30) == 1


def test_an_event_that_nobody_did_is_doubted(ada):
    does(name="Cart Viewed")
    does(name="Order Completed")
    campaign = Campaign(on_event="Cart viewed", unless_event="Order Completed")
    assert list(triggers.doubt(campaign)) == [
        "Nobody did “Cart viewed” so far: is it “Cart Viewed”?"
    ]
    assert list(triggers.doubt(Campaign(on_event="Gift Wrapped"))) == [
        "Nobody did “Gift Wrapped” so far."
    ]


# --- what a marketer may ask for -------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"on_event": ""}, "on_event: is missing: say what somebody has to do, such as Cart"),
        ({"on_where": [{"property": "x", "op": "~"}]}, "on_where[0].op: expected one of"),
        ({"on_where": {}}, "on_where: expected a list of at most 10 conditions"),
        ({"on_wait": timedelta(days=31)}, "on_wait: from 0 hours to 30 days"),
        ({"unless_event": "Order Completed"}, "unless_event: needs a wait"),
        ({"spread": HOUR}, "spread: means nothing here: it goes to one person at a time"),
    ],
)
def test_what_cannot_be_launched_says_where(fields, problem):
    with pytest.raises(NotReady, match=problem.replace("[", r"\[")):
        launched(**fields)
    assert WatchedEvent.objects.count() == 0
