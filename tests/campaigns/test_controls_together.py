"""Whole runs under random settings: no call breaks a rule, and nothing stays open.

The rules are looked at from outside, on the append-only record of calls, with clocks of their own.
"""

import os
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import fanout, lifecycle, runs, sending
from campaigns.models import Campaign, Run
from delivery import reaping
from delivery.channels import registry
from delivery.controls import Cap, Quiet, Wish
from delivery.models import Cap as CapRow
from delivery.models import Message, Preference, QuietHours, SendAttempt, SendRate
from engage.profiles.models import Profile
from tests.delivery.sending import RecordingChannel, SharedRecordingChannel, use_channel
from tests.factories import NOON, make_campaign, make_profile, make_template

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
HOUR = timedelta(hours=1)
EXAMPLES = int(os.environ.get("ENGAGE_SEQUENCES", "15"))

hours = st.integers(0, 23).map(time)
nights = st.tuples(hours, hours).filter(lambda pair: pair[0] != pair[1])
people_made = st.fixed_dictionaries(
    {
        "zone": st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Asia/Kolkata"]),
        "night": st.none() | nights,
        "most_a_week": st.none() | st.integers(0, 2),
        "paused_hours": st.sampled_from([0, 0, 30]),
    }
)
campaigns_made = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["email", "push"]),
        "topic": st.sampled_from(["", "offers"]),
        "priority": st.sampled_from([10, 50, 90]),
        "quiet": st.sampled_from(["hold", "drop", "ignore", "inbox"]),
        "starts_at": st.integers(20, 40).map(lambda hour: NOON + hour * HOUR),
        "in_local_time": st.booleans(),
        "spread": st.sampled_from([0 * HOUR, 3 * HOUR]),
        "first_part_wait": st.sampled_from([0 * HOUR, HOUR]),
        "cut_off": st.none() | hours,
        "expires_after": st.sampled_from([2 * HOUR, 10 * HOUR, 30 * HOUR]),
    }
)
caps_made = st.builds(
    Cap,
    st.just(""),
    st.integers(1, 2),
    st.sampled_from(["hours", "day", "week"]),
    st.integers(1, 60),
    st.sampled_from(["", "push", "email"]),
    st.sampled_from(["", "offers"]),
)
# Redis has a clock of its own: to it, all these days are a moment.
rates_made = st.just({}) | st.dictionaries(
    st.sampled_from(["email", "push", "fcm", "apns"]), st.sampled_from([1, 60, 6_000])
)
# One run is stopped at one hour and goes on, or ends, at another.
stops_made = st.tuples(
    st.integers(20, 60), st.integers(1, 20), st.sampled_from(["resume", "cancel"])
)


@pytest.fixture
def channels():
    use_channel(RecordingChannel(), name="email")
    use_channel(SharedRecordingChannel(), name="push")
    yield
    registry.forget_channels()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    people=st.lists(people_made, min_size=1, max_size=3),
    made=st.lists(campaigns_made, min_size=1, max_size=3),
    caps=st.lists(caps_made, max_size=2),
    night=st.none() | nights,
    rates=rates_made,
    stop=st.none() | stops_made,
    steps=st.lists(st.integers(20, 200), min_size=24, max_size=24),
)
def test_no_call_breaks_a_rule_whatever_is_set(
    channels, people, made, caps, night, rates, stop, steps
):
    begun = transaction.savepoint()
    try:
        persons = {make_person(n, **one).pk: one for n, one in enumerate(people)}
        for number, cap in enumerate(caps):
            CapRow.objects.create(**cap._asdict() | {"name": str(number)})
        if night:
            QuietHours.objects.create(begin=night[0], end=night[1])
        for scope, per_minute in rates.items():
            SendRate.objects.create(scope=scope, per_minute=per_minute)
        campaigns = {launched(**one).pk: one for one in made}
        first = min(campaigns)
        now = NOON
        due = stop_moments(stop)
        for minutes in [*steps, 14 * 24 * 60]:
            now += timedelta(minutes=minutes)
            while due and due[0][0] <= now:
                at, action = due.pop(0)
                act(Campaign.objects.get(pk=first), action, now=at)
            go_on(now)
        look(persons, campaigns, caps, night, stop and (first, *stop))
    finally:
        transaction.savepoint_rollback(begun)


def make_person(number, *, zone, night, most_a_week, paused_hours) -> Profile:
    person = make_profile(
        email=f"{number}@x.example",
        opted_in=("email",),
        push_token=f"{['iphone', 'android'][number % 2]} {number}",
        timezone=zone,
    )
    begin, end = night or (None, None)
    Preference.objects.create(
        profile_id=person.pk,
        most_a_week=most_a_week,
        quiet_begin=begin,
        quiet_end=end,
        paused_until=NOON + paused_hours * HOUR,
        stated_at=NOON,
    )
    return person


def launched(**fields) -> Campaign:
    if fields["quiet"] == "inbox":
        fields["quiet_template"] = make_template(channel="inbox")
    campaign = make_campaign(schedule="at", **fields)
    lifecycle.launch(campaign, now=NOON)
    return campaign


def stop_moments(stop):
    if stop is None:
        return []
    hour, wait, action = stop
    return [(NOON + hour * HOUR, "pause"), (NOON + (hour + wait) * HOUR, action)]


def act(campaign: Campaign, action: str, *, now: datetime) -> None:
    """What the state of the campaign allows; its page shows no other button."""
    allowed = {"active": {"pause", "cancel"}, "paused": {"resume", "cancel"}}
    if action in allowed.get(campaign.state, ()):
        getattr(lifecycle, action)(campaign, now=now)


def go_on(now: datetime) -> None:
    """What the programs do, one after the other."""
    runs.start_due(now)
    for run_id in runs.list_planning():
        while fanout.plan_chunk(run_id, now=now, limit=2):
            pass
    for channel in ("push", "email", "inbox"):
        sending.send_chunk(channel, now=now)
    reaping.reap(now)
    runs.finish_done(now)


def look(persons, campaigns, caps, night, stop) -> None:
    rows = {m.id: m for m in Message.objects.all()}
    calls = [(call.started_at, rows[call.message_id]) for call in SendAttempt.objects.all()]
    assert {m.state for m in rows.values()} <= {"accepted", "suppressed", "expired", "cancelled"}
    assert len({m.id for _, m in calls}) == len(calls)
    assert {m.id for _, m in calls} == {m.id for m in rows.values() if m.state == "accepted"}
    assert len({(m.run_id, m.profile_id) for _, m in calls}) == len(calls)
    for at, message in calls:
        zone = ZoneInfo(persons[message.profile_id]["zone"])
        look_at_times(at, message, campaigns[message.campaign_id], zone)
        look_at_person(at, persons[message.profile_id], zone)
        if night and message.channel != "inbox" and message.quiet != "ignore":
            assert Quiet(*night).ends(at, zone) is None
        if stop and message.campaign_id == stop[0]:
            paused_at = NOON + stop[1] * HOUR
            freed_at = paused_at + stop[2] * HOUR
            assert at < paused_at or (at >= freed_at and stop[3] == "resume")
    for person, wishes in persons.items():
        of_person = [(at, m) for at, m in calls if m.profile_id == person]
        weekly = wishes["most_a_week"]
        own = [] if weekly is None else [Cap("own", weekly, hours=168)]
        look_at_caps(of_person, [*caps, *own], ZoneInfo(wishes["zone"]))


def look_at_times(at: datetime, message: Message, campaign: dict, zone: ZoneInfo) -> None:
    """Not before its moment, not past its life, not past the cut-off of its day."""
    run = Run.objects.get(pk=message.run_id)
    named = campaign["starts_at"]
    due = named.replace(tzinfo=zone) if campaign["in_local_time"] else max(named, run.frozen_at)
    longest = campaign["spread"] + campaign["first_part_wait"] + campaign["expires_after"]
    assert due <= at < min(due + longest, message.expires_at)
    if campaign["cut_off"] is not None:
        wall = due.astimezone(zone)
        end = datetime.combine(wall.date(), campaign["cut_off"], tzinfo=zone)
        assert at < (end if end > wall else end + timedelta(days=1))


def look_at_person(at: datetime, person: dict, zone: ZoneInfo) -> None:
    assert at >= NOON + person["paused_hours"] * HOUR
    assert person["night"] is None or Quiet(*person["night"]).ends(at, zone) is None


def look_at_caps(calls, caps, zone) -> None:
    for cap in caps:
        covered = [(at, m.run_id) for at, m in calls if cap.covers(wish_of(m))]
        for at, _ in covered:
            begin = cap.begins(at, zone)
            assert len({run for when, run in covered if begin <= when <= at}) <= cap.most


def wish_of(message: Message) -> Wish:
    return Wish(str(message.run_id), message.channel, message.topic, message.expires_at)
