"""The Celery application with a broker that has no patience, and with poison.

Tasks may be poison, and so is the mail to the profile whose number stands in the file `poison`.

celery --app tests.faults.impatient worker …
"""

import ctypes
import os
import time
from pathlib import Path

from celery.signals import task_prerun, task_revoked, worker_process_init

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


def _write(word: str, *, file: str = "tasks") -> None:
    with (Path(os.environ["ENGAGE_DATA_DIR"]).parent / file).open("a") as words:
        words.write(f"{word}\n")


@worker_process_init.connect
def compose_poison(**kwargs) -> None:
    """Composing that message ends the process as an overflow in a library would."""
    from campaigns import sending

    compose = sending.compose

    def compose_or_die(messages, **more):
        file = Path(os.environ["ENGAGE_DATA_DIR"]).parent / "poison"
        mails = {one.profile_id for one in messages if one.channel == "email"}
        if file.exists() and int(file.read_text()) in mails:
            ctypes.string_at(0)
        return compose(messages, **more)

    sending.compose = compose_or_die


# Less than the broker's patience, or a task that hangs is given to others meanwhile.
@app.task(name="tests.faults.poison", queue="send.push", time_limit=SECONDS - 1)
def poison(way: str) -> None:
    if way == "hang":
        _write(str(os.getpid()), file="hung")
        time.sleep(3_600)
    if way == "exit":
        os._exit(1)
    if way == "segfault":
        ctypes.string_at(0)
    raise RuntimeError("poison")
