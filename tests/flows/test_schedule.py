"""I-7: a schedule fires once per due time, whoever else is at it in the same moment."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection

from campaigns import fanout, lifecycle, runs
from campaigns.models import Campaign, ControlMember, Run
from delivery.models import Message
from tests.factories import make_campaign, make_profile, make_run

pytestmark = pytest.mark.django_db(transaction=True)
NINE = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
AT_ONCE = 4


def all_at_once(deed):
    """Run the deed in several threads that start together; what each returned or raised."""
    barrier = Barrier(AT_ONCE)

    def one(_):
        try:
            barrier.wait(timeout=10)
            return deed()
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(one, range(AT_ONCE)))


def test_several_schedulers_start_each_due_time_once(now):
    for number in range(5):
        campaign = make_campaign(
            schedule="recurring", recurrence="FREQ=DAILY", starts_at=NINE, name=f"daily {number}"
        )
        lifecycle.launch(campaign, now=now)
    started = all_at_once(lambda: runs.start_due(NINE))
    assert sorted(pk for one in started for pk in one) == sorted(
        Run.objects.values_list("pk", flat=True)
    )
    assert Run.objects.count() == 5
    dues = set(Campaign.objects.values_list("next_due", flat=True))
    assert dues == {NINE + timedelta(days=1)}


def test_clicking_launch_in_the_same_moment_makes_one_run(now):
    campaign = make_campaign()
    found = all_at_once(lambda: lifecycle.launch(Campaign.objects.get(pk=campaign.pk), now=now))
    assert Run.objects.count() == 1
    assert set(found) == {Run.objects.get()}


def test_a_week_of_ticks_makes_a_run_a_day(now):
    campaign = make_campaign(
        schedule="recurring", recurrence="FREQ=DAILY", starts_at=NINE, time_zone="Europe/Berlin"
    )
    lifecycle.launch(campaign, now=now)
    moment = NINE
    while moment < NINE + timedelta(days=7):
        runs.start_due(moment)
        runs.start_due(moment)
        moment += timedelta(hours=5)
    due = list(Run.objects.order_by("scheduled_for").values_list("scheduled_for", flat=True))
    assert due == [NINE + timedelta(days=day) for day in range(7)]


def test_several_planners_of_one_run_write_each_person_once(now):
    people = [make_profile().pk for _ in range(23)]
    run = make_run(campaign=make_campaign(control_percent=20), at=now)

    def plan():
        for _ in range(20):
            fanout.plan_chunk(run.pk, now=now, limit=3)

    all_at_once(plan)
    while fanout.plan_chunk(run.pk, now=now, limit=3):  # what all of them left to each other
        pass
    run.refresh_from_db()
    written = list(Message.objects.values_list("profile_id", flat=True))
    held = list(ControlMember.objects.values_list("profile_id", flat=True))
    assert sorted(written + held) == people
    assert (run.state, run.audience, run.planned, run.held_out) == (
        "sending",
        23,
        len(written),
        len(held),
    )


def test_a_pause_between_two_chunks_stops_the_planning(now):
    for _ in range(6):
        make_profile()
    campaign = make_campaign()
    run = lifecycle.launch(campaign, now=now)
    assert fanout.plan_chunk(run.pk, now=now, limit=2)
    lifecycle.pause(campaign, now=now)
    assert not fanout.plan_chunk(run.pk, now=now, limit=2)
    assert Message.objects.count() == 2
    lifecycle.resume(campaign, now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=2):
        pass
    assert Message.objects.count() == 6


def test_duplicating_in_the_same_moment_makes_copies_with_names_of_their_own():
    campaign = make_campaign(name="Weekly")
    copies = all_at_once(lambda: lifecycle.duplicate(campaign).name)
    wanted = ["Copy of Weekly", *(f"Copy of Weekly ({number})" for number in (2, 3, 4))]
    assert sorted(copies) == wanted
