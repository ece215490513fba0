from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from campaigns import lifecycle, runs
from campaigns.errors import IllegalMove
from campaigns.models import Campaign, Run
from delivery.models import Message
from tests.factories import make_campaign, make_message, make_profile, make_run

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


def daily(now, **fields):
    campaign = make_campaign(
        schedule="recurring", recurrence="FREQ=DAILY", starts_at=NINE - timedelta(days=9), **fields
    )
    lifecycle.launch(campaign, now=now)
    return campaign


def test_a_due_time_starts_one_run_and_sets_the_next(now):
    campaign = daily(now)
    assert runs.start_due(NINE - timedelta(seconds=1)) == []
    started = runs.start_due(NINE)
    assert runs.start_due(NINE + timedelta(seconds=1)) == []
    run = Run.objects.get()
    assert started == [run.pk]
    campaign.refresh_from_db()
    assert (run.scheduled_for, run.state) == (NINE, "planning")
    assert campaign.next_due == NINE + timedelta(days=1)


def test_a_campaign_that_nobody_starts_grows_older(now):
    campaign = daily(now)
    assert runs.health(NINE - timedelta(seconds=1)) == {"oldest_seconds": 0, "depth": 0}
    assert runs.health(NINE + timedelta(minutes=3)) == {"oldest_seconds": 180, "depth": 1}
    runs.start_due(NINE + timedelta(minutes=3))
    assert runs.health(NINE + timedelta(minutes=3)) == {"oldest_seconds": 0, "depth": 0}
    campaign.refresh_from_db()
    lifecycle.pause(campaign, now=NINE + timedelta(minutes=4))
    assert runs.health(NINE + timedelta(days=9)) == {"oldest_seconds": 0, "depth": 0}


def test_a_run_later_than_allowed_is_missed_and_waits_for_a_human(now):
    daily(now, max_lateness=timedelta(hours=1))
    assert runs.start_due(NINE + timedelta(hours=2)) == []
    run = Run.objects.get()
    assert (run.state, run.scheduled_for) == ("missed", NINE)
    runs.start_missed(run, now=NINE + timedelta(hours=3))
    assert run.state == "planning"
    with pytest.raises(IllegalMove):
        runs.start_missed(run, now=NINE)


def test_after_a_standstill_of_days_only_the_latest_comes(now):
    daily(now)
    runs.start_due(NINE + timedelta(days=4, minutes=5))
    assert [run.scheduled_for for run in Run.objects.all()] == [NINE + timedelta(days=4)]


def test_a_paused_campaign_starts_nothing(now):
    campaign = daily(now)
    lifecycle.pause(campaign, now=now)
    assert runs.start_due(NINE) == []
    assert Run.objects.count() == 0


def test_a_run_is_finished_only_when_planned_and_nothing_is_open(now):
    campaign = make_campaign(state="active")
    planning = make_run(campaign=campaign, at=now)
    sending = make_run(campaign=campaign, at=now + timedelta(days=1), state="sending")
    message = make_message(profile=make_profile(), now=now, run_id=sending.pk)
    assert runs.finish_done(now) == 0
    message.state = "unknown"
    message.save()
    assert runs.finish_done(now) == 1
    planning.refresh_from_db()
    sending.refresh_from_db()
    campaign.refresh_from_db()
    assert (planning.state, sending.state, sending.finished_at) == ("planning", "finished", now)
    assert campaign.state == "active"


def test_a_finished_run_has_nothing_that_a_late_answer_could_open(now):
    run = make_run(campaign=make_campaign(state="active"), at=now, state="sending")
    lease = {"lease_token": uuid4(), "lease_until": now}
    make_message(profile=make_profile(), now=now, run_id=run.pk, state="unknown", **lease)
    other = make_message(profile=make_profile(), now=now, run_id=9, state="unknown", **lease)
    assert runs.finish_done(now) == 1
    assert Message.objects.get(run_id=run.pk).lease_until is None
    assert Message.objects.get(id=other.id).lease_until == now


def test_a_campaign_is_finished_with_its_last_run(now):
    campaign = make_campaign(state="active")
    make_run(campaign=campaign, at=now, state="sending")
    runs.finish_done(now)
    campaign.refresh_from_db()
    assert campaign.state == "finished"


def test_a_campaign_with_a_time_to_come_stays_active(now):
    campaign = daily(now)
    runs.finish_done(now)
    campaign.refresh_from_db()
    assert campaign.state == "active"


def test_an_in_app_campaign_ends_at_its_end(now):
    live = make_campaign(channel="in_app", schedule="launch", state="active")
    over = make_campaign(channel="in_app", schedule="launch", state="active", ends_at=now)
    runs.finish_done(now)
    live.refresh_from_db()
    over.refresh_from_db()
    assert (live.state, over.state) == ("active", "finished")


def test_a_missed_run_ends_with_its_campaign(now):
    campaign = daily(now)
    runs.start_due(NINE + timedelta(hours=2))
    lifecycle.cancel(campaign, now=now)
    run = Run.objects.get()
    assert (run.state, run.finished_at) == ("cancelled", now)
    with pytest.raises(IllegalMove):
        runs.start_missed(run, now=now)
    assert Run.objects.get().state == "cancelled"


def test_a_missed_run_is_not_started_while_its_campaign_pauses(now):
    campaign = daily(now)
    runs.start_due(NINE + timedelta(hours=2))
    lifecycle.pause(campaign, now=now)
    run = Run.objects.get()
    with pytest.raises(IllegalMove):
        runs.start_missed(run, now=now)
    assert Run.objects.get().state == "missed"
    lifecycle.resume(campaign, now=now)
    runs.start_missed(run, now=now)
    assert run.state == "planning"


def test_a_broken_schedule_does_not_stop_the_others(now):
    broken, sound = daily(now), daily(now)
    Campaign.objects.filter(pk=broken.pk).update(time_zone="Mars/Base", next_due=NINE)
    [started] = runs.start_due(NINE)
    assert Run.objects.get().pk == started
    assert Run.objects.get().campaign_id == sound.pk


@pytest.mark.parametrize(
    ("channel", "schedule", "state", "reopened"),
    [
        ("webhook", "now", "planned", 1),
        ("webhook", "now", "failed", 0),
        ("webhook", "event", "planned", 0),  # it would take events again
        ("webhook", "api", "planned", 0),
    ],
)
def test_a_run_goes_on_when_webhooks_of_it_are_planned_again(
    now, channel, schedule, state, reopened
):
    campaign = make_campaign(channel=channel, schedule=schedule, state="finished")
    run = make_run(campaign=campaign, state="finished", finished_at=now)
    make_message(profile=make_profile(), channel=channel, run_id=run.pk, state=state)
    assert runs.reopen(now) == reopened
    assert runs.reopen(now) == 0
    run.refresh_from_db()
    campaign.refresh_from_db()
    if reopened:
        assert (run.state, run.finished_at, run.watched_from) == ("sending", None, now)
        assert campaign.state == "active"
    else:
        assert (run.state, run.finished_at, campaign.state) == ("finished", now, "finished")


def test_a_cancelled_run_never_goes_on(now):
    campaign = make_campaign(channel="webhook", state="cancelled")
    run = make_run(campaign=campaign, state="cancelled")
    make_message(profile=make_profile(), channel="webhook", run_id=run.pk)
    assert runs.reopen(now) == 0
