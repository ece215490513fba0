"""The controls at the mark: caps, quiet hours, wishes and priority as the tables have them."""

from datetime import UTC, datetime, time, timedelta

import pytest

from delivery import control_rows, marking, outbox
from delivery.channels import registry
from delivery.drafts import Accepted, Refused, TryLater
from delivery.models import (
    Cap,
    ChannelPause,
    Halt,
    Message,
    Preference,
    QuietHours,
    RunHold,
    RunPlan,
)
from delivery.policy import Allow, Defer, Drop, Elsewhere
from engage.profiles.models import Device, Merge
from tests.delivery.sending import (
    RecordingChannel,
    claim,
    make_draft,
    mark,
    record,
    use_channel,
)
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db
EMAIL = "ann@shop.example"


def make_person(**fields):
    return make_profile(email=EMAIL, opted_in=("email",), **fields)


def planned(person, *, run: int | None = 1, now=NOON, **fields) -> Message:
    return make_message(profile=person, run_id=run, campaign_id=run or 1, now=now, **fields)


def send(person, *, run: int | None = 1, outcome=None, now=NOON, **fields):
    """One message of the person through the mark; the decision."""
    planned(person, run=run, now=now, **fields)
    [message] = claim(now=now)
    [decision] = mark([message], now=now)
    if isinstance(decision, Allow):
        record(message, outcome or Accepted("id"), now=now)
    return decision


def row(message) -> Message:
    return Message.objects.get(id=message.id)


@pytest.fixture(autouse=True)
def _set_up():
    for name in ("email", "push"):
        use_channel(RecordingChannel(), name=name)
    yield
    registry.forget_channels()


@pytest.fixture
def one_a_day():
    return Cap.objects.create(name="one a day", most=1)


def test_a_cap_lets_one_go_and_keeps_the_next_with_the_reason(one_a_day):
    person = make_person()
    assert send(person, run=1) == Allow(1)
    note = {"cap": "one a day", "most": 1, "earlier": ["run 1"]}
    assert send(person, run=2) == Drop("capped", [note])
    kept = Message.objects.get(run_id=2)
    assert (kept.state, kept.reason, kept.items) == ("suppressed", "capped", [note])
    assert send(person, run=3, now=NOON + timedelta(hours=25)) == Allow(1)


def test_what_was_refused_or_put_off_does_not_count_what_is_not_known_does(one_a_day):
    refused, later, unknown = make_person(), make_person(), make_person()
    send(refused, run=1, outcome=Refused("no"))
    assert send(refused, run=2) == Allow(1)
    send(later, run=1, outcome=TryLater("busy"))
    assert send(later, run=2) == Allow(1)
    planned(unknown, run=1)
    mark(claim())  # and the worker dies
    assert isinstance(send(unknown, run=2), Drop)


def test_tests_are_neither_counted_nor_capped(one_a_day):
    person = make_person()
    assert send(person, run=None, kind="test") == Allow(1)
    assert send(person, run=1) == Allow(1)
    assert send(person, run=None, kind="test") == Allow(1)


def test_two_runs_in_one_batch_share_the_room(one_a_day):
    person = make_person()
    planned(person, run=1, priority=10)
    planned(person, run=2, priority=90)
    messages = sorted(claim(), key=lambda message: message.run_id)
    low, high = mark(messages)
    assert (low.reason, high) == ("capped", Allow(1))


def test_what_something_else_forbids_takes_no_room(one_a_day):
    person = make_person()
    planned(person, run=1, priority=90)
    planned(person, run=2)
    outbox.hold_run(1, state=RunHold.State.CANCELLED)
    assert [row(m).state for m in Message.objects.order_by("run_id")] == ["planned", "planned"]
    [free] = claim()
    assert mark([free]) == [Allow(1)]


def test_a_better_one_that_is_due_is_waited_for_and_then_wins(one_a_day):
    person = make_person()
    planned(person, run=1, priority=10)
    [low] = claim()
    planned(person, run=2, priority=90)
    until = NOON + timedelta(seconds=10)
    assert mark([low]) == [Defer(until, "outranked")]
    assert (row(low).state, row(low).not_before) == ("planned", until)
    [high] = claim()
    assert mark([high]) == [Allow(1)]
    record(high, Accepted("id"))
    [low] = claim(now=until)
    assert mark([low], now=until)[0].reason == "capped"


def test_of_equal_priority_the_worth_of_what_the_slots_show_decides(one_a_day):
    person = make_person()
    some, more = planned(person, run=1), planned(person, run=2)
    worths = {some.id: 0.2, more.id: 0.7}
    for seconds in (0, 10, 20):
        now = NOON + timedelta(seconds=seconds)
        for message in claim(now=now):
            draft = make_draft(message, worth=worths[message.id])
            marking.mark([message], [draft], token=message.lease_token, call_seconds=20, now=now)
    assert (row(some).reason, row(more).state) == ("capped", "attempting")


def coming(person, *, run=2, priority=50, **fields) -> None:
    """Another run that is being planned and has not come to the person."""
    told = {"channel": "push", "priority": priority, "began_at": NOON, "reached": person.pk - 1}
    RunPlan.objects.create(run_id=run, **(told | fields))


def ask_once(person):
    planned(person, run=1)
    [message] = claim()
    return mark([message])[0]


@pytest.mark.parametrize("priority", [50, 90])
def test_a_run_that_may_still_plan_something_as_good_is_waited_for(one_a_day, priority):
    person = make_person()
    coming(person, priority=priority)
    assert ask_once(person) == Defer(NOON + timedelta(seconds=10), "outranked")


@pytest.mark.parametrize("change", [
    {"priority": 10},
    {"reached": 10**12},  # it came to everybody
    {"began_at": NOON - timedelta(minutes=1)},  # it takes too long
    {"run": 1},  # our own
])  # fmt: skip
def test_a_run_that_brings_nothing_better_soon_is_not_waited_for(one_a_day, change):
    person = make_person()
    coming(person, **change)
    assert ask_once(person) == Allow(1)


def test_a_run_that_is_planned_is_not_waited_for_where_there_is_room_or_it_is_held():
    person = make_person()
    coming(person, priority=90)
    assert ask_once(person) == Allow(1)
    Cap.objects.create(name="two a day", most=2)
    outbox.hold_run(2, state=RunHold.State.PAUSED)
    assert send(person, run=3) == Allow(1)


def test_a_rival_that_is_held_is_not_waited_for(one_a_day):
    person = make_person()
    planned(person, run=1, priority=90)
    planned(person, run=2, priority=90, channel="push")
    planned(person, run=3)
    outbox.hold_run(1, state=RunHold.State.PAUSED)
    ChannelPause.objects.create(channel="push", until=NOON + timedelta(hours=1), reason="away")
    [message] = claim()
    assert mark([message]) == [Allow(1)]


def test_a_rival_on_a_channel_that_is_not_set_up_is_not_waited_for(one_a_day):
    person = make_person()
    planned(person, run=1, priority=90, channel="sms")
    coming(person, run=2, priority=90, channel="sms")
    assert send(person, run=3) == Allow(1)


def test_quiet_hours_are_waited_for_in_the_persons_zone():
    QuietHours.objects.create(begin=time(22), end=time(8))
    here, there = make_person(), make_person(timezone="Asia/Tokyo")  # 22:30 in Tokyo
    now = datetime(2026, 11, 2, 13, 30, tzinfo=UTC)
    assert send(here, now=now) == Allow(1)
    until = datetime(2026, 11, 2, 23, 0, tzinfo=UTC)
    assert send(there, now=now) == Defer(until, "quiet_hours")
    assert Message.objects.get(profile_id=there.pk).not_before == until


NIGHT = NOON.replace(hour=23)


def at_night(person, **fields):
    """A push that may go by another channel, at 23:00, through the mark; its row."""
    QuietHours.objects.get_or_create(begin=time(22), end=time(8))
    device = {"address_id": f"d{person.pk}", "quiet": "inbox"}
    planned(person, now=NIGHT, channel="push", **(device | fields))
    [message] = claim(channel="push", now=NIGHT)
    assert mark([message], address=f"t{person.pk}", now=NIGHT) == [Elsewhere(row(message).channel)]
    return row(message)


def make_owner(**fields):
    person = make_profile(**fields)
    Device.objects.create(
        profile=person, device_id=f"d{person.pk}", token=f"t{person.pk}", last_seen=NOON
    )
    return person


def test_at_night_a_message_goes_by_another_channel_and_stays_the_same_message():
    person = make_owner()
    found = at_night(person)
    assert (found.state, found.channel, found.quiet, found.address_id, found.not_before) == (
        "planned", "inbox", "ignore", "", NIGHT,
    )  # fmt: skip
    assert (found.lease_token, found.worth, found.items) == (None, None, [])
    assert claim(channel="push", now=NIGHT) == []
    [again] = claim(channel="inbox", now=NIGHT)
    assert (again.id, again.key) == (found.id, found.key)
    assert mark([again], address=str(person.pk), now=NIGHT) == [Allow(1)]
    assert sum(outbox.count_states(1).values()) == 1


def test_the_other_channel_has_its_own_consent_suppression_and_caps():
    unasked, capped = make_owner(email=EMAIL), make_owner()
    at_night(unasked, quiet="email")
    [mail] = claim(now=NIGHT)
    assert mark([mail], now=NIGHT) == [Drop("no_consent")]
    Cap.objects.create(name="one a day", most=1, channel="inbox")
    before = planned(capped, run=7, channel="inbox", state="accepted", marked_at=NOON)
    at_night(capped, run=8)
    [message] = claim(channel="inbox", now=NIGHT)
    [decision] = mark([message], address=str(capped.pk), now=NIGHT)
    assert decision.items[0]["earlier"] == [f"run {before.run_id}"]


def test_what_something_else_forbids_does_not_go_elsewhere():
    person = make_profile()  # without a device
    QuietHours.objects.create(begin=time(22), end=time(8))
    planned(person, now=NIGHT, channel="push", address_id="d1", quiet="inbox")
    [message] = claim(channel="push", now=NIGHT)
    assert mark([message], address="t1", now=NIGHT) == [Drop("no_address")]
    assert row(message).channel == "push"


def test_a_persons_own_wishes_hold_without_any_rule_of_the_shop():
    person = make_person()
    wishes = Preference.objects.create(profile_id=person.pk, most_a_week=1, stated_at=NOON)
    assert send(person, run=1) == Allow(1)
    assert send(person, run=2).reason == "capped"
    wishes.most_a_week, wishes.paused_until = None, NOON + timedelta(hours=2)
    wishes.save()
    assert send(person, run=3) == Defer(wishes.paused_until, "paused_by_person")


def test_what_went_to_a_name_that_was_merged_into_this_one_counts(one_a_day):
    old, new = make_person(), make_person()
    assert send(old, run=1) == Allow(1)
    Merge.objects.create(winner_id=new.pk, loser_id=old.pk, reason="same user")
    assert send(new, run=2).reason == "capped"


def test_a_cap_that_is_switched_off_holds_nobody(one_a_day):
    person = make_person()
    send(person, run=1)
    one_a_day.enabled = False
    one_a_day.save()
    assert send(person, run=2) == Allow(1)


def test_in_a_halt_nothing_is_claimed_and_what_was_claimed_goes_back():
    person = make_person()
    planned(person)
    [message] = claim()
    Halt.objects.create(reason="somebody pulled the cord", since=NOON)
    assert mark([message]) == [Defer(None, "paused")]
    assert (row(message).state, claim()) == ("planned", [])


def test_without_rules_and_wishes_nothing_is_looked_up(django_assert_num_queries):
    person = make_person()
    planned(person)
    [message] = claim()
    with django_assert_num_queries(0):  # the mark itself is prepared, and not counted
        mark([message])
    assert row(message).state == "attempting"


def test_what_went_out_is_read_with_its_run_and_moment():
    person = make_person()
    send(person, run=7)
    [found] = control_rows.read_sent([person.pk], now=NOON)[person.pk]
    assert found == control_rows.Sent("run 7", "email", "", NOON)
