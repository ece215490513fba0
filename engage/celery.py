"""The Celery app: its queues, and the one place that says what runs when.

A task is a bell, the rows are the truth: losing every message of the broker loses nothing, because
the next tick finds the due work again, and a task that comes twice finds it done.
"""

import gc
import os
import warnings
from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import (
    beat_init,
    worker_before_create_process,
    worker_init,
    worker_process_init,
    worker_ready,
)

from engage.lib import bulkheads
from engage.lib.processes import die_with_parent, say_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")

# Builds have a worker of their own: they are long. So has sending: it waits for others, and what
# it waits for must hold up neither plans nor the clock. Each channel has a queue, see below.
QUEUES = ("default", "plan", "build")
SEND_CHUNK = "campaigns.tasks.send_chunk"
ROUTES = {  # everything else goes to the default queue
    "campaigns.tasks.plan_run": {"queue": "plan"},
    "recommendations.tasks.fold_all": {"queue": "default"},  # these two while a build runs, too
    "recommendations.tasks.fold": {"queue": "default"},
    "recommendations.tasks.*": {"queue": "build"},
    "campaigns.tasks.train_ranker": {"queue": "build"},
}
VISIBILITY_SECONDS = 900  # then an unacknowledged task comes again; longer than its time limit
LONG_TASKS = (  # longer than that: taken out of the broker at their start, or they came again
    "recommendations.tasks.build",
    "recommendations.tasks.build_all",
    "recommendations.tasks.build_if_due",
    "engage.profiles.tasks.clean_up",
)


def send_queue(channel: str) -> str:
    """Of its own, so that hosts can be given to one channel."""
    return f"send.{channel}"


def route_by_channel(name: str, args: Sequence[Any], *more: object, **options: object) -> Any:
    return {"queue": send_queue(args[0])} if name == SEND_CHUNK else None


def every(seconds: float, task: str, *, queue: str = "default") -> dict[str, Any]:
    """Not run by the time of its third follower: forgotten, so that a sleeper finds no pile."""
    return {
        "task": task,
        "schedule": seconds,
        "options": {"queue": queue, "expires": max(3 * seconds, 5.0)},
    }


def hourly(minute: int, task: str, *, queue: str = "default") -> dict[str, Any]:
    return {
        "task": task,
        "schedule": crontab(minute=str(minute)),
        "options": {"queue": queue, "expires": 3600.0},
    }


def nightly(hour: int, minute: int, task: str, *, queue: str = "default") -> dict[str, Any]:
    return {
        "task": task,
        "schedule": crontab(hour=str(hour), minute=str(minute)),  # UTC
        "options": {"queue": queue, "expires": 6 * 3600.0},
    }


class Config:
    """Late acknowledgement is safe because every task can run twice (see each docstring)."""

    task_default_queue = "default"
    task_routes = (route_by_channel, ROUTES)
    task_create_missing_queues = False
    task_acks_late = True
    # A task that ended its process is not given out again: it would do so again, without an end.
    # Its rows are found by the next ring.
    task_reject_on_worker_lost = False
    task_annotations = {name: {"acks_late": False} for name in LONG_TASKS}
    task_ignore_result = True
    task_store_errors_even_if_ignored = False
    task_time_limit = 300  # seconds; a soft limit here would contradict a task's shorter one
    worker_prefetch_multiplier = 1
    worker_max_tasks_per_child = 1000
    worker_max_memory_per_child = 800_000  # KiB; a catalog of a million products is in it
    worker_eta_task_limit = 1000
    worker_hijack_root_logger = False
    worker_soft_shutdown_timeout = 3  # seconds; what is not done by then is done by the next start
    worker_enable_soft_shutdown_on_idle = True
    # A broker that comes back gives its tasks again, which does no harm. Ended in the middle of a
    # call, a task would leave messages behind of which nobody knows whether they went out.
    worker_cancel_long_running_tasks_on_connection_loss = False
    worker_send_task_events = False
    broker_connection_retry_on_startup = True
    broker_connection_max_retries = None
    broker_transport_options = {
        "visibility_timeout": VISIBILITY_SECONDS,
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }
    visibility_timeout = VISIBILITY_SECONDS
    result_backend_transport_options = {"visibility_timeout": VISIBILITY_SECONDS}
    accept_content = ["json"]
    task_serializer = "json"
    timezone = "UTC"
    beat_schedule = {
        "start due runs, ring for plan and send": every(1, "campaigns.tasks.tick"),
        "take in-app reactions": every(1, "delivery.tasks.consume_notices"),
        "make events of clicks": every(5, "delivery.tasks.tell_clicks"),
        "plan what events send": every(1, "campaigns.tasks.take_triggers"),
        "take back expired leases": every(10, "delivery.tasks.reap"),
        "stop runs that go wrong": every(10, "campaigns.tasks.watch_runs"),
        "count what was left to chance": hourly(20, "campaigns.tasks.count_arms"),
        "fold what happened into the live models": every(15, "recommendations.tasks.fold_all"),
        "build every catalog's model": nightly(
            3, 0, "recommendations.tasks.build_all", queue="build"
        ),
        "learn from what was shown": nightly(4, 30, "campaigns.tasks.train_rankers"),
        "forget products deleted long ago": nightly(2, 45, "catalog.tasks.clean_up"),
        "delete expired inbox messages": nightly(2, 15, "delivery.tasks.clean_up"),
        "forget old wishes of servers": nightly(2, 20, "campaigns.tasks.clean_up"),
        "forget old dedupe ids": nightly(2, 30, "engage.profiles.tasks.clean_up"),
    }


# A worker may be root: it reads JSON only, so a message cannot bring code with it.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

app = Celery("engage")
app.config_from_object(Config)
app.autodiscover_tasks()


@app.on_configure.connect  # type: ignore[untyped-decorator]
def use_our_settings(sender: Celery, **kwargs: object) -> None:
    from django.conf import settings

    names = (*QUEUES, *map(send_queue, settings.CHANNELS))
    sender.conf.task_queues = {name: {"exchange": name, "routing_key": name} for name in names}
    sender.conf.broker_url = settings.BROKER_URL
    sender.conf.broker_transport_options = {
        **Config.broker_transport_options,
        "global_keyprefix": f"{settings.REDIS_PREFIX}:broker:",
    }


@worker_init.connect  # type: ignore[untyped-decorator]
def divide_by_channel(sender: Any, **kwargs: object) -> None:
    """A worker that sends gets processes for each channel, so that none waits for another.

    A channel is never in more of them than its own, however long its provider takes, and all
    channels that are set up have theirs at the same time: one with work always finds a process.
    What `--concurrency` says is for the other queues of the same worker.
    """
    from django.conf import settings

    from delivery.channels.registry import find_problem

    queues = set(sender.app.amqp.queues.consume_from)
    channels = [channel for channel in settings.CHANNELS if send_queue(channel) in queues]
    if not channels:
        return
    set_up = [channel for channel in channels if not find_problem(channel)]
    others = sender.concurrency if queues - set(map(send_queue, channels)) else 0
    sender.concurrency = max(others + len(set_up) * settings.SENDER_PROCESSES, 1)
    bulkheads.open_for(channels, places=settings.SENDER_PROCESSES)


@worker_before_create_process.connect  # type: ignore[untyped-decorator]
def share_what_is_loaded(**kwargs: object) -> None:
    """The collector writes into every object it looks at: each process would get a copy of all."""
    gc.collect()
    gc.freeze()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def end_with_the_worker(**kwargs: object) -> None:
    """A pool process whose worker was killed would wait for work for ever."""
    die_with_parent()


@worker_ready.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def tell_the_runner(**kwargs: object) -> None:
    say_ready()
