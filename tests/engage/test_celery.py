"""What runs when, and that every task of the schedule and its queue exist."""

import pytest

from campaigns import bell
from engage.celery import LONG_TASKS, QUEUES, VISIBILITY_SECONDS, Config, app
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
    assert len(frequent) == 5
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
    queues = {name: router.route({}, name)["queue"].name for name in OUR_TASKS}
    others = {name: queue for name, queue in queues.items() if queue != "default"}
    assert others == {
        "campaigns.tasks.plan_run": "plan",
        "campaigns.tasks.send_chunk": "send",
        "campaigns.tasks.train_ranker": "build",
        "recommendations.tasks.build": "build",
        "recommendations.tasks.build_all": "build",
        "recommendations.tasks.build_if_due": "build",
    }


def test_work_that_the_clock_rings_for_again_is_forgotten_by_then():
    for name in ("campaigns.tasks.plan_run", "campaigns.tasks.send_chunk"):
        assert app.tasks[name].expires == bell.FADES_SECONDS
    assert app.tasks["recommendations.tasks.fold"].expires == FOLD_FADES_SECONDS
