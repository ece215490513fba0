"""Runs that are due at the same moment, and a cap that lets one of them go."""

from datetime import timedelta

import pytest

from campaigns import fanout, lifecycle, runs, sending
from delivery.channels import registry
from delivery.models import Cap, Message, RunPlan
from tests.delivery.sending import RecordingChannel, use_channel
from tests.factories import make_campaign, make_profile, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def mails():
    yield use_channel(RecordingChannel())
    registry.forget_channels()


def plan(run, *, now, chunks=99):
    for _ in range(chunks):
        if not fanout.plan_chunk(run.pk, now=now, limit=2):
            break


def launch_two(now):
    """At the same moment, one of a higher priority."""
    people = [make_profile(email=f"{n}@x.example", opted_in=("email",)) for n in range(6)]
    low, high = make_campaign(priority=10), make_campaign(priority=90)
    started = [lifecycle.launch(campaign, now=now) for campaign in (low, high)]
    return [person.pk for person in people], *started


def test_the_better_of_two_runs_goes_although_it_is_planned_later(mails, now):
    Cap.objects.create(name="one a day", most=1)
    people, low, high = launch_two(now)
    plan(low, now=now)
    plan(high, now=now, chunks=1)  # it came to the first two people
    # Those get it; the others wait for what the better run may bring.
    assert sending.send_chunk("email", now=now).states == {
        "accepted": 2, "suppressed": 2, "planned": 4,
    }  # fmt: skip
    plan(high, now=now)
    for seconds in (15, 30):
        sending.send_chunk("email", now=now + timedelta(seconds=seconds))
    sent = dict(Message.objects.filter(state="accepted").values_list("profile_id", "run_id"))
    assert sent == dict.fromkeys(people, high.pk)
    assert set(Message.objects.filter(run_id=low.pk).values_list("reason", flat=True)) == {
        "capped"
    }


def test_a_run_tells_how_far_it_is_from_its_start_to_its_end(now):
    people, low, high = launch_two(now)
    assert dict(RunPlan.objects.values_list("run_id", "reached")) == {low.pk: 0, high.pk: 0}
    plan(low, now=now, chunks=2)
    assert dict(RunPlan.objects.values_list("run_id", "reached"))[low.pk] == people[3]
    plan(low, now=now)
    lifecycle.cancel(high.campaign, now=now)
    assert not RunPlan.objects.exists()


def test_a_missed_run_tells_from_the_moment_that_somebody_starts_it(now):
    campaign = make_campaign(state="active")
    missed = make_run(campaign=campaign, at=now, state="missed")
    assert not RunPlan.objects.exists()
    runs.start_missed(missed, now=now)
    assert RunPlan.objects.get().began_at == now
