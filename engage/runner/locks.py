"""File locks of one data folder: who runs its servers, whether a server's family still lives."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engage.lib.processes import list_holders
from engage.runner.errors import StartFailed

LOOK_SECONDS = 0.05


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """An open, locked descriptor, or None when somebody else has it.

    The lock belongs to the open file, not to the process: given to a child it lives as long as
    the child and everything the child forks.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def gate_file(data_dir: Path) -> Path:
    """Held by a runner that starts, until the database is as its programs expect it."""
    return data_dir / "locks" / "gate"


def wait_at_gate(data_dir: Path) -> None:
    with gate_file(data_dir).open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)


def read_owner(path: Path) -> str:
    """What the owner wrote about itself; for messages only."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def write_owner(descriptor: int, words: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, words.encode(), 0)


def lock_of_family(path: Path, *, patience_seconds: float) -> int:
    """The lock that a server and all its processes hold; waits until the former family is gone.

    After `kill -9` of a PostgreSQL its sessions may still be writing; starting beside them is what
    must not happen. Those that do not go by themselves are ended.

    Raises
    ------
    StartFailed
        If they stay.
    """
    started = time.monotonic()
    sent: signal.Signals | None = None
    while (descriptor := try_lock(path)) is None:
        waited = time.monotonic() - started
        if waited > patience_seconds:
            raise StartFailed(f"Processes {list_holders(path)} of an earlier start do not end.")
        due = signal.SIGKILL if waited > patience_seconds / 2 else signal.SIGQUIT
        if waited > patience_seconds / 4 and due != sent:
            sent = due
            end_all(list_holders(path), due)
        time.sleep(LOOK_SECONDS)
    return descriptor


def end_all(processes: list[int], sent: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sent)


@contextmanager
def held(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
