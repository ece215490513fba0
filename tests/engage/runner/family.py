"""Every process that belongs to one data folder, found by what the kernel knows of it."""

import os
import time
from pathlib import Path

from engage.lib.processes import is_alive

# Whatever the surroundings of the tests are: the runner brings its own servers.
OWN_SERVERS = {"DATABASE_URL": "", "REDIS_URL": "", "BROKER_URL": "", "ENGAGE_INSTANCE": ""}
SMALL = {
    "ENGAGE_WEB_WORKERS": "1",
    "ENGAGE_WORKER_PROCESSES": "1",
    "ENGAGE_SENDER_PROCESSES": "1",
}


def list_family(data_dir: Path) -> list[str]:
    return [
        f"{folder.name} {read(folder / 'cmdline')[:80]!r}"
        for folder in Path("/proc").glob("[0-9]*")
        if int(folder.name) != os.getpid() and belongs(folder, data_dir)
    ]


def belongs(folder: Path, data_dir: Path) -> bool:
    name = os.fsencode(data_dir)
    try:
        here = os.fsencode(os.readlink(folder / "cwd"))
    except OSError:
        return False
    known = name in here or name in read(folder / "cmdline") or name in read(folder / "environ")
    return known and is_alive(int(folder.name))


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def wait_until(condition, *, seconds: float) -> float:
    """How long it took; fails when it takes longer."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < seconds, f"not so after {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - started
