"""What runs when, and that every task of the schedule and its queue exist."""

from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from celery.app.amqp import Queues
from django.conf import settings
from kombu import Queue

from campaigns import bell
from delivery.channels import registry
from engage.celery import (
    LONG_TASKS,
    QUEUES,
    VISIBILITY_SECONDS,
    Config,
    app,
    divide_by_channel,
    send_queue,
)
from engage.lib import bulkheads
from recommendations.tasks import FOLD_FADES_SECONDS

SCHEDULE = Config.beat_schedule
app.loader.import_default_modules()
OUR_TASKS = sorted(name for name in app.tasks if not name.startswith("celery."))


@pytest.mark.parametrize("entry", SCHEDULE.values(), ids=lambda entry: entry["task"])
def test_task_exists_expires_and_has_a_queue(entry):
    assert entry["task"] in app.tasks
    assert entry["options"]["queue"] in QUEUES
    assert entry["options"]["expires"] > 0


def test_frequent_tasks_are_forgotten_before_they_pile_up():
    frequent = [entry for entry in SCHEDULE.values() if isinstance(entry["schedule"], int)]
    assert len(frequent) == 7
    assert all(entry["options"]["expires"] <= 45 for entry in frequent)


@pytest.mark.parametrize("name", OUR_TASKS)
def test_task_ends_before_it_comes_again(name):
    task = app.tasks[name]
    hard = task.time_limit or Config.task_time_limit
    assert task.soft_time_limit is None or task.soft_time_limit <= hard
    assert hard < VISIBILITY_SECONDS or not task.acks_late


def test_long_tasks_are_tasks():
    assert set(LONG_TASKS) <= set(OUR_TASKS)


def test_tasks_go_to_the_queue_of_their_work():
    router = app.amqp.router
    asked = {"campaigns.tasks.send_chunk": ("sms", 0)}
    queues = {
        name: router.route({}, name, args=asked.get(name, ()))["queue"].name for name in OUR_TASKS
    }
    others = {name: queue for name, queue in queues.items() if queue != "default"}
    assert others == {
        "campaigns.tasks.plan_run": "plan",
        "campaigns.tasks.send_chunk": "send.sms",
        "campaigns.tasks.train_ranker": "build",
        "recommendations.tasks.build": "build",
        "recommendations.tasks.build_all": "build",
        "recommendations.tasks.build_if_due": "build",
    }


def test_each_channel_has_a_queue_of_its_own():
    channels = {f"send.{channel}" for channel in settings.CHANNELS}
    assert set(app.amqp.queues) == {"default", "plan", "build"} | channels


class Worker:
    """What a signal shows of one: where it takes from, and how many processes it will fork."""

    def __init__(self, queues: Iterable[str]) -> None:
        self.app = SimpleNamespace(amqp=SimpleNamespace(queues=Queues(map(Queue, queues))))
        self.concurrency = 5


class TestProcessesOfAWorker:
    """How many a worker forks, by the queues that it takes from."""

    @pytest.fixture(autouse=True)
    def channels(self, monkeypatch, settings):
        """E-mail is set up; so are webhook and inbox, which need nothing. Others are not."""
        settings.SMTP_URL, settings.FCM_CREDENTIALS_FILE = "smtp://localhost:25", ""
        settings.VAPID_KEY_FILE, settings.SMS_ACCOUNT, settings.APNS_KEY_FILE = "", "", ""
        settings.SENDER_PROCESSES = 3
        registry.forget_channels()
        monkeypatch.setattr(bulkheads, "_opened", None)
        yield
        registry.forget_channels()

    def started(self, *queues: str) -> int:
        worker = Worker(queues)
        divide_by_channel(sender=worker)
        return worker.concurrency

    def test_one_that_does_not_send_has_what_it_was_told(self):
        assert self.started("default", "plan") == 5
        assert bulkheads._opened is None

    def test_one_that_sends_has_some_for_each_channel_that_is_set_up(self):
        queues = [send_queue(channel) for channel in settings.CHANNELS]
        assert self.started(*queues) == 3 * 3
        assert bulkheads._opened.places == 3

    def test_one_for_a_single_channel_has_those_of_the_channel(self):
        assert self.started("send.email") == 3

    def test_one_for_a_channel_that_is_not_set_up_has_one(self):
        assert self.started("send.sms") == 1

    def test_one_for_everything_has_both(self):
        assert self.started("default", "plan", "send.email", "send.push", "send.inbox") == 5 + 6


def test_work_that_the_clock_rings_for_again_is_forgotten_by_then():
    for name in ("campaigns.tasks.plan_run", "campaigns.tasks.send_chunk"):
        assert app.tasks[name].expires == bell.FADES_SECONDS
    assert app.tasks["recommendations.tasks.fold"].expires == FOLD_FADES_SECONDS
