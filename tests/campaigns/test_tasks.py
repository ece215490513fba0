"""The bells, rung in this process: rows in, messages out."""

from datetime import timedelta

import pytest

from campaigns import bell, lifecycle, sending, tasks
from campaigns.models import Run
from delivery import outbox
from delivery.channels import registry
from delivery.models import Message
from engage.celery import app
from engage.lib import bulkheads, clock
from engage.lib.bulkheads import Bulkheads
from tests.delivery.sending import RecordingChannel, use_channel
from tests.factories import make_campaign, make_message, make_profile, make_run

CHANNELS = {"email": "delivery.channels.smtp.SmtpChannel"}
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]


@pytest.fixture
def at_once(settings):
    """Tasks run where they are rung, in chunks of three."""
    settings.SEND_BATCH = 3
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    yield use_channel(RecordingChannel())
    app.conf.task_always_eager = app.conf.task_eager_propagates = False
    registry.forget_channels()


def test_two_ticks_take_a_campaign_from_launch_to_its_end(at_once):
    people = [make_profile(email=f"{n}@x.example", opted_in=("email",)) for n in range(8)]
    campaign = make_campaign()
    run = lifecycle.launch(campaign, now=clock.now())
    tasks.tick()  # plans
    tasks.tick()  # sends
    run.refresh_from_db()
    campaign.refresh_from_db()
    assert (run.state, run.planned, campaign.state) == ("finished", len(people), "finished")
    assert sorted(at_once.addresses) == [f"{n}@x.example" for n in range(8)]


def test_more_ticks_send_nothing_again(at_once):
    make_profile(email="a@x.example", opted_in=("email",))
    lifecycle.launch(make_campaign(), now=clock.now())
    for _ in range(4):
        tasks.tick()
    assert at_once.addresses == ["a@x.example"]
    assert Run.objects.count() == 1


def test_work_that_somebody_has_is_not_rung_for(at_once):
    make_profile(email="a@x.example", opted_in=("email",))
    run = lifecycle.launch(make_campaign(), now=clock.now())
    assert bell.ring("plan", run.pk)
    assert not bell.ring("plan", run.pk)
    tasks.tick()
    assert Message.objects.count() == 0
    bell.hang_up("plan", run.pk)
    tasks.tick()
    assert Message.objects.count() == 1


def test_a_channel_that_just_paused_is_tried_by_one_chunk_at_first(at_once):
    now = clock.now()
    for n in range(9):
        make_profile(email=f"{n}@x.example", opted_in=("email",))
    lifecycle.launch(make_campaign(), now=now)
    tasks.plan_run(Run.objects.get().pk)
    now = clock.now()
    assert sending.list_due(now) == [("email", 3)]
    outbox.pause_channel("email", until=now - timedelta(seconds=1), reason="no_answer")
    assert sending.list_due(now) == [("email", 1)]
    assert sending.list_due(now + timedelta(seconds=60)) == [("email", 3)]


def test_a_ring_for_a_channel_without_a_free_process_leaves_its_messages(at_once, monkeypatch):
    make_profile(email="a@x.example", opted_in=("email",))
    lifecycle.launch(make_campaign(), now=clock.now())
    tasks.tick()
    with monkeypatch.context() as patch:
        patch.setattr(bulkheads, "_opened", Bulkheads(["email"], places=0))
        tasks.tick()
    assert Message.objects.get().state == "planned"
    assert not bell.ring("send", "email", 0)  # it fades; another host may hear the next
    bell.hang_up("send", "email", 0)
    tasks.tick()
    assert at_once.addresses == ["a@x.example"]


def test_a_channel_that_is_not_set_up_is_not_rung_for_every_second(at_once, settings):
    settings.CHANNELS, settings.SMTP_URL = CHANNELS, ""
    registry.forget_channels()
    make_profile(email="a@x.example", opted_in=("email",))
    lifecycle.launch(make_campaign(), now=clock.now())
    tasks.tick()
    tasks.tick()
    assert Message.objects.get().state == "planned"
    assert not bell.ring("send", "email", 0)


def test_a_lane_that_is_busy_is_not_rung_for_and_the_others_are(at_once):
    for n in range(8):
        make_profile(email=f"{n}@x.example", opted_in=("email",))
    run = lifecycle.launch(make_campaign(), now=clock.now())
    tasks.plan_run(run.pk)
    bell.ring("send", "email", 0)
    assert sending.list_due(clock.now()) == [("email", 3)]
    tasks.tick()
    assert len(at_once.addresses) == 8
    assert not bell.ring("send", "email", 0)


def test_a_tick_goes_on_with_a_run_whose_webhooks_are_sent_again(at_once):
    run = make_run(campaign=make_campaign(channel="webhook", state="finished"), state="finished")
    soon = clock.now() + timedelta(hours=1)
    make_message(profile=make_profile(), channel="webhook", run_id=run.pk, now=soon)
    tasks.tick()
    run.refresh_from_db()
    assert (run.state, run.campaign.state) == ("sending", "active")
