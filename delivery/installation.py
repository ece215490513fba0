"""Whether this database is the one we last worked on: a restored copy must not send again.

The number of the last epoch stands in the database and in a file outside of it. A database that is
behind its file was restored from a backup; one that has no file here and did not move lately was
copied to another machine. Then all sending stands still until somebody says that this copy is the
one that counts: what it holds as planned may have gone out long ago.
"""

import json
import logging
import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from delivery.models import Halt, Installation

logger = logging.getLogger(__name__)
EPOCH: Final = timedelta(minutes=1)
# While something is sent: of a copy that is older than this, something may have gone out since.
SENDING_EPOCH: Final = timedelta(seconds=1)
ALIVE: Final = timedelta(minutes=10)  # a database that moved since then has another host at work
OLDER: Final = "the database is older than what this installation has sent: restored from a backup"
OTHER: Final = "the database belongs to another installation: a copy of it"
MOVED: Final = "the database was last used elsewhere and has no record here: a copy of it"


checked_at = float("-inf")  # monotonic


class Record(NamedTuple):
    name: UUID
    epoch: int


def ensure(now: datetime, *, epoch: timedelta = EPOCH) -> None:
    """`check`, twice an epoch in each process."""
    global checked_at
    moment = time.monotonic()
    if moment - checked_at > epoch.total_seconds() / 2:
        check(now, epoch=epoch)
        checked_at = moment


def check(now: datetime, *, epoch: timedelta = EPOCH) -> str:
    """Move on when the last epoch is over; or halt all sending, with the reason.

    Safe to run twice, and by many at once: the row is locked.
    """
    with transaction.atomic():
        row, made = Installation.objects.select_for_update().get_or_create(
            pk=1, defaults={"name": uuid4(), "moved_at": now}
        )
        record = read_file()
        problem = "" if made else find_problem(row, record, now=now)
        if problem:
            halt(problem, now=now)
            return problem
        if not made and record is not None and now - row.moved_at < epoch:
            return ""
        row.epoch, row.moved_at = row.epoch + 1, now
        row.save()
    # After the commit: a crash in between leaves the file behind, which is no problem.
    write_file(Record(row.name, row.epoch))
    return ""


def find_problem(row: Installation, record: Record | None, *, now: datetime) -> str:
    if record is None:
        return "" if now - row.moved_at < ALIVE else MOVED
    if record.name != row.name:
        return OTHER
    return OLDER if row.epoch < record.epoch else ""


def halt(reason: str, *, now: datetime) -> None:
    """From the commit on, nothing is claimed and nothing marked. The first reason stays."""
    _, made = Halt.objects.get_or_create(pk=1, defaults={"reason": reason[:200], "since": now})
    if made:
        logger.error("all sending stands still", extra={"reason": reason})


def resume(*, now: datetime) -> bool:
    """Somebody decided: this database counts, and sending goes on. Whether it stood still."""
    with transaction.atomic():
        row, _ = Installation.objects.select_for_update().get_or_create(
            pk=1, defaults={"name": uuid4(), "moved_at": now}
        )
        record = read_file()
        row.epoch = max(row.epoch, record.epoch if record else 0) + 1
        row.moved_at = now
        row.save()
        write_file(Record(row.name, row.epoch))
        return Halt.objects.filter(pk=1).delete()[0] > 0


def path() -> Path:
    return Path(settings.DATA_DIR) / "installation.json"


def read_file() -> Record | None:
    try:
        said = json.loads(path().read_text())
        return Record(UUID(said["name"]), int(said["epoch"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_file(record: Record) -> None:
    """Whole or not at all, and on the disk before anything is sent."""
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    with fresh.open("w") as file:
        json.dump({"name": str(record.name), "epoch": record.epoch}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
