"""Local time, spread, rate, first part, quiet hours and cut-off give one planned time."""

from datetime import UTC, datetime, time, timedelta

import pytest

from campaigns import fanout, lifecycle, runs, schedule, timing
from campaigns.models import Campaign, Run
from delivery.models import Message, QuietHours, SendRate
from engage.profiles.models import Device
from tests.factories import NOON, make_campaign, make_profile, make_run

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def plan_all(run, *, now, limit=1000):
    while fanout.plan_chunk(run.pk, now=now, limit=limit):
        pass
    run.refresh_from_db()


def due_of(person) -> datetime:
    return Message.objects.get(profile_id=person.pk).not_before


def make_local(*, at="2026-11-03T09:00", **fields):
    """Once, at nine o'clock of each person's own clock."""
    starts_at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return make_campaign(schedule="at", starts_at=starts_at, in_local_time=True, **fields)


def test_in_local_time_everybody_gets_it_at_their_own_nine(now):
    zones = {"Pacific/Kiritimati": -14, "Asia/Tokyo": -9, "Europe/Berlin": -1,
             "America/New_York": 5, "Etc/GMT+12": 12}  # fmt: skip
    people = {zone: make_profile(timezone=zone) for zone in zones}
    unknown = make_profile(timezone="Mars/Olympus")
    campaign = make_local()
    nine = datetime(2026, 11, 3, 9, tzinfo=UTC)
    due = schedule.first_due(campaign)
    assert due == nine - 14 * HOUR
    run = make_run(campaign=campaign, at=due)
    plan_all(run, now=due)
    assert {zone: due_of(person) for zone, person in people.items()} == {
        zone: nine + hours * HOUR for zone, hours in zones.items()
    }
    assert due_of(unknown) == nine


def test_a_daily_local_campaign_is_due_where_the_day_begins(now):
    campaign = make_campaign(
        schedule="recurring", starts_at=now, recurrence="FREQ=DAILY;BYHOUR=9;BYMINUTE=0",
        in_local_time=True, time_zone="Europe/Berlin",
    )  # fmt: skip
    assert schedule.find_next(campaign, after=now) == datetime(2026, 11, 2, 19, tzinfo=UTC)


def test_a_local_run_may_start_until_the_day_has_begun_everywhere():
    campaign = make_local(max_lateness=HOUR)
    due = schedule.first_due(campaign)
    late = runs.start(campaign, due=due, now=due + 27 * HOUR)
    assert late.state == Run.State.PLANNING
    Run.objects.all().delete()
    assert runs.start(campaign, due=due, now=due + 28 * HOUR).state == Run.State.MISSED


def test_whose_hour_is_long_past_gets_nothing_and_is_counted():
    campaign = make_local(max_lateness=HOUR)
    tokyo, berlin = make_profile(timezone="Asia/Tokyo"), make_profile(timezone="Europe/Berlin")
    run = make_run(campaign=campaign, at=schedule.first_due(campaign))
    now = datetime(2026, 11, 3, 8, 30, tzinfo=UTC)  # 17:30 in Tokyo, 9:30 in Berlin
    plan_all(run, now=now)
    planned = dict(Message.objects.values_list("profile_id", "expires_at"))
    assert planned[tokyo.pk] <= now < planned[berlin.pk]
    assert run.planned == 2


def test_a_missed_local_run_that_a_human_starts_goes_at_once():
    for zone in ("Asia/Tokyo", "Europe/Berlin"):
        make_profile(timezone=zone)
    campaign = make_local(max_lateness=HOUR, state="active")
    due = schedule.first_due(campaign)
    now = due + 28 * HOUR
    run = runs.start(campaign, due=due, now=now)
    assert run.state == Run.State.MISSED
    runs.start_missed(run, now=now)
    plan_all(run, now=now)
    times = Message.objects.values_list("not_before", "expires_at")
    assert list(times) == [(now, now + 24 * HOUR)] * 2


def test_local_time_needs_a_time(now):
    campaign = make_campaign(schedule="now", in_local_time=True)
    assert "in_local_time" in [problem.path for problem in lifecycle.check(campaign, now=now)]


def test_a_spread_spreads_the_messages_evenly_and_always_the_same(now):
    people = [make_profile() for _ in range(200)]
    run = make_run(campaign=make_campaign(spread=4 * HOUR), at=now)
    plan_all(run, now=now, limit=30)
    waits = sorted((due_of(person) - now) / HOUR for person in people)
    assert 0 <= waits[0] < 0.3
    assert 3.7 < waits[-1] < 4
    assert 1.3 < waits[100] < 2.7  # five standard deviations: who it is differs by run


def test_a_rate_plans_the_messages_one_after_the_other_and_holds_at_the_door(now):
    for _ in range(7):
        make_profile()
    run = make_run(campaign=make_campaign(per_minute=2), at=now)
    plan_all(run, now=now, limit=3)
    waits = sorted((m.not_before - now).total_seconds() for m in Message.objects.all())
    assert waits == [0, 30, 60, 90, 120, 150, 180]
    assert SendRate.objects.get(scope=f"run {run.pk}").per_minute == 2


def test_a_rate_counts_messages_whatever_the_number_of_a_persons_devices(now):
    for _ in range(4):
        person = make_profile()
        for n in range(3):
            device = f"{person.pk}-{n}"
            Device.objects.create(
                profile=person, device_id=device, token=f"token-{device}", last_seen=now
            )
    run = make_run(campaign=make_campaign(channel="push", per_minute=1), at=now)
    plan_all(run, now=now)
    times = Message.objects.order_by("not_before").values_list("not_before", flat=True)
    minutes = [(at - now) // timedelta(minutes=1) for at in times]
    assert minutes == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9]


def test_the_first_hundredth_goes_alone(now):
    people = [make_profile() for _ in range(300)]
    run = make_run(campaign=make_campaign(first_part_wait=HOUR), at=now)
    plan_all(run, now=now)
    first = {person.pk for person in people if timing.is_first(run, person.pk)}
    at_once = Message.objects.filter(not_before=now).values_list("profile_id", flat=True)
    assert set(at_once) == first
    assert set(Message.objects.exclude(not_before=now).values_list("not_before", flat=True)) == {
        now + HOUR
    }


def test_what_would_fall_into_quiet_hours_is_planned_for_their_end(now):
    QuietHours.objects.create(begin=time(21), end=time(8))
    tokyo, berlin = make_profile(timezone="Asia/Tokyo"), make_profile(timezone="Europe/Berlin")
    run = make_run(campaign=make_campaign(), at=now)  # 21:00 in Tokyo, 13:00 in Berlin
    plan_all(run, now=now)
    assert (due_of(tokyo), due_of(berlin)) == (datetime(2026, 11, 2, 23, tzinfo=UTC), now)


@pytest.mark.parametrize("quiet", ["ignore", "drop"])
def test_who_does_not_wait_for_the_end_of_quiet_hours_is_planned_at_once(now, quiet):
    QuietHours.objects.create(begin=time(0), end=time(23, 59))
    person = make_profile()
    plan_all(make_run(campaign=make_campaign(quiet=quiet), at=now), now=now)
    message = Message.objects.get(profile_id=person.pk)
    assert (message.not_before, message.quiet) == (now, quiet)


def test_a_cut_off_ends_the_life_of_a_message_by_the_persons_clock(now):
    berlin, samoa = make_profile(timezone="Europe/Berlin"), make_profile(timezone="Pacific/Apia")
    campaign = make_campaign(cut_off=time(18), expires_after=10 * HOUR)
    plan_all(make_run(campaign=campaign, at=now), now=now)
    ends = dict(Message.objects.values_list("profile_id", "expires_at"))
    assert ends[berlin.pk] == now + 5 * HOUR
    assert ends[samoa.pk] == now + 10 * HOUR  # 01:00 there: 18:00 is after the message's life


@pytest.mark.parametrize("pace", [{"spread": 3 * HOUR}, {"per_minute": 1}])
def test_nothing_is_planned_past_a_cut_off_by_the_pace_of_its_run(now, pace):
    for _ in range(100):
        make_profile(timezone="Europe/Berlin")  # where it is one o'clock
    campaign = make_campaign(cut_off=time(14), expires_after=20 * HOUR, **pace)
    plan_all(make_run(campaign=campaign, at=now), now=now)
    cut_off = now + HOUR
    assert set(Message.objects.values_list("expires_at", flat=True)) == {cut_off}
    assert 20 < Message.objects.filter(not_before__lt=cut_off).count() < 70


def test_a_cut_off_in_the_hour_that_comes_twice_is_of_the_same_pass():
    begin = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 in Berlin, the second time
    make_profile(timezone="Europe/Berlin")
    campaign = make_campaign(cut_off=time(2, 50))
    plan_all(make_run(campaign=campaign, at=begin), now=begin)
    assert Message.objects.get().expires_at == begin + timedelta(minutes=40)


def test_all_of_them_together_keep_every_rule(now):
    QuietHours.objects.create(begin=time(20), end=time(9))
    zones = ["Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Eucla", "UTC"]
    people = [make_profile(timezone=zones[n % 5]) for n in range(100)]
    campaign = make_local(
        at="2026-11-03T19:00", spread=3 * HOUR, first_part_wait=HOUR, per_minute=600,
        cut_off=time(20, 30), expires_after=20 * HOUR,
    )  # fmt: skip
    run = make_run(campaign=campaign, at=schedule.first_due(campaign))
    plan_all(run, now=run.scheduled_for, limit=17)
    for person in people:
        message = Message.objects.get(profile_id=person.pk)
        zone = timing.controls.find_zone(person.attributes["timezone"])
        local = message.not_before.astimezone(zone)
        assert time(9) <= local.time() < time(20)
        assert message.not_before >= timing.local_due(run, zone)
        assert message.expires_at.astimezone(zone).time() <= time(20, 30)


def test_no_pace_asks_for_no_clocks(now, django_assert_max_num_queries):
    for _ in range(3):
        make_profile()
    run = make_run(campaign=make_campaign(quiet=Campaign.Quiet.IGNORE), at=now)
    with django_assert_max_num_queries(14) as queries:
        plan_all(run, now=now)
    assert not any("timezone" in query["sql"] for query in queries.captured_queries)


def test_a_webhook_is_of_use_for_four_days_and_everything_else_for_one():
    """A receiver that is away is called for three days, and more with its jitter."""
    make_profile()
    ends = {}
    for channel, fields in (
        ("webhook", {}),
        ("inbox", {}),
        ("webhook", {"expires_after": 2 * HOUR}),
        ("webhook", {"cut_off": time(21)}),
    ):
        run = make_run(campaign=make_campaign(channel=channel, **fields), at=NOON)
        plan_all(run, now=NOON)
        message = Message.objects.get(run_id=run.pk)
        ends[channel, *fields] = message.expires_at - message.not_before
    assert ends == {
        ("webhook",): timedelta(days=4),
        ("inbox",): timedelta(hours=24),
        ("webhook", "expires_after"): timedelta(hours=2),
        ("webhook", "cut_off"): timedelta(hours=9),
    }
