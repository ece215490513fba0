"""A run that goes wrong stops by itself and says why."""

from datetime import timedelta
from uuid import uuid4

import pytest

from campaigns import fanout, lifecycle, rails
from campaigns.models import Campaign, Run
from delivery.models import Message, Receipt, RunHold
from engage.lib.ids import uuid7
from tests.factories import make_campaign, make_profile, make_run

pytestmark = pytest.mark.django_db
GONE = "smtp 550 5.1.1"


@pytest.fixture
def run(now):
    return make_run(campaign=make_campaign(state="active"), at=now, state="sending")


def answer(run, *, accepted=0, failed=0, unknown=0, reason="smtp 554 5.7.1", now) -> list[Message]:
    base = {
        "campaign_id": run.campaign_id, "run_id": run.pk, "variant_id": 1, "channel": "email",
        "not_before": now, "expires_at": now + timedelta(days=1), "created_at": now,
        "finished_at": now,
    }  # fmt: skip
    states = [("accepted", "")] * accepted + [("failed", reason)] * failed
    states += [("unknown", "timeout")] * unknown
    return Message.objects.bulk_create(
        Message(profile_id=n, id=uuid7(), key=uuid4(), state=state, reason=why, **base)
        for n, (state, why) in enumerate(states, start=1)
    )


def tell(run, messages, kind, *, now) -> None:
    Receipt.objects.bulk_create(
        Receipt(
            profile_id=m.profile_id, id=uuid7(), key=uuid4(), message_id=m.id,
            campaign_id=run.campaign_id, run_id=run.pk, channel="email", kind=kind, ts=now,
        )
        for m in messages
    )  # fmt: skip


def test_a_run_that_goes_well_goes_on(run, now):
    answer(run, accepted=300, failed=5, now=now)
    assert rails.watch(now) == []


@pytest.mark.parametrize(("failed", "stops"), [(60, False), (61, True)])
def test_too_many_errors_stop_a_run(run, now, failed, stops):
    answer(run, accepted=300 - failed, failed=failed, now=now)
    assert rails.watch(now) == ([run.pk] if stops else [])


def test_a_run_of_which_nobody_knows_what_arrived_stops(run, now):
    answer(run, unknown=2_000, now=now)
    assert rails.watch(now) == [run.pk]
    run.refresh_from_db()
    assert run.stopped_because.startswith("errors: 2,000 of 2,000 (100.00%)")


@pytest.mark.parametrize(("unknown", "stops"), [(30, False), (31, True)])
def test_unknown_outcomes_count_with_the_failed_ones(run, now, unknown, stops):
    answer(run, accepted=240 + 30 - unknown, failed=30, unknown=unknown, now=now)
    assert rails.watch(now) == ([run.pk] if stops else [])


def test_what_was_in_the_hands_of_workers_that_died_stops_no_run(run, now):
    messages = answer(run, accepted=200, unknown=100, now=now)
    Message.objects.filter(state="unknown").update(reason="worker_died")
    assert rails.watch(now) == []
    silent = [m.id for m in messages if m.state == "unknown"][:61]
    Message.objects.filter(id__in=silent).update(reason="timeout")
    assert rails.watch(now) == [run.pk]


@pytest.mark.parametrize(("days", "stops"), [(6, False), (8, True)])
def test_a_run_of_months_is_judged_by_its_last_week(run, now, days, stops):
    answer(run, accepted=900, now=now - timedelta(days=days))
    answer(run, accepted=150, failed=50, now=now)
    assert rails.watch(now) == ([run.pk] if stops else [])


def test_what_stopped_a_run_is_told_and_holds_its_messages(run, now):
    answer(run, accepted=180, failed=20, reason=GONE, now=now)
    rails.watch(now)
    run.refresh_from_db()
    reason = "bounces: 20 of 200 (10.00%), allowed are 2.50%"
    assert (run.state, run.stopped_because) == ("paused", reason)
    assert run.campaign.state == Campaign.State.PAUSED
    assert RunHold.objects.get(run_id=run.pk).state == "paused"


def test_bounces_that_come_later_count_like_refusals(run, now):
    messages = answer(run, accepted=400, now=now)
    tell(run, messages[:10], "bounced", now=now)
    assert rails.watch(now) == []
    tell(run, messages[10:11], "bounced", now=now)
    assert rails.watch(now) == [run.pk]


def test_complaints_stop_a_run_early_but_not_for_one_or_two(run, now):
    messages = answer(run, accepted=1_000, now=now)
    tell(run, messages[:2], "complained", now=now)
    assert rails.watch(now) == []
    tell(run, messages[2:3], "complained", now=now)
    assert rails.watch(now) == [run.pk]


def test_a_few_messages_say_nothing(run, now):
    answer(run, failed=99, now=now)
    assert rails.watch(now) == []


def test_who_resumes_has_seen_it_and_is_judged_by_what_comes(run, now):
    answer(run, accepted=100, failed=100, now=now)
    rails.watch(now)
    later = now + timedelta(hours=1)
    lifecycle.resume(run.campaign, now=later)
    assert rails.watch(later) == []
    run.refresh_from_db()
    assert (run.state, run.stopped_because) == ("planning", "")
    answer(run, failed=100, now=later)
    assert rails.watch(later) == [run.pk]


def test_more_people_than_expected_stop_the_fan_out(now):
    for _ in range(7):
        make_profile()
    campaign = make_campaign(state="active", most_people=5)
    run = make_run(campaign=campaign, at=now)
    while fanout.plan_chunk(run.pk, now=now, limit=2):
        pass
    run.refresh_from_db()
    assert (run.state, run.audience) == ("paused", 6)
    assert run.stopped_because == "more people than expected: 6 so far"
    lifecycle.resume(campaign, now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=2):
        pass
    run.refresh_from_db()
    assert (run.state, run.audience, run.planned) == (Run.State.SENDING, 7, 7)
