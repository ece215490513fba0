"""The Celery application with a broker that has no patience, and with tasks that are poison.

celery --app tests.faults.impatient worker …
"""

import ctypes
import os
from pathlib import Path

from celery.signals import task_prerun, task_revoked

from engage.celery import app

SECONDS = 5


@app.on_after_configure.connect
def lose_patience(sender, **kwargs) -> None:
    sender.conf.broker_transport_options = {
        **sender.conf.broker_transport_options,
        "visibility_timeout": SECONDS,
        "unacked_restore_interval": 1,  # seconds between looks for what was taken too long ago
        "unacked_restore_throttle": 1,
    }
    sender.conf.visibility_timeout = SECONDS


@task_prerun.connect
def write_down(task_id: str, **kwargs) -> None:
    _write(task_id)


@task_revoked.connect
def write_down_the_forgotten(request, **kwargs) -> None:
    """What came again after its time."""
    _write(request.id)


def _write(task_id: str) -> None:
    with (Path(os.environ["ENGAGE_DATA_DIR"]).parent / "tasks").open("a") as tasks:
        tasks.write(f"{task_id}\n")


@app.task(name="tests.faults.poison", queue="send.push", time_limit=20)
def poison(way: str) -> None:
    if way == "exit":
        os._exit(1)
    if way == "segfault":
        ctypes.string_at(0)
    raise RuntimeError("poison")
