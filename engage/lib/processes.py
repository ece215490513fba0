"""Processes of the operating system: who lives, holds a file, goes with its parent, takes what."""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
READY_FILE = "ENGAGE_READY_FILE"  # of a program that the runner started


def die_with_parent(sent: signal.Signals = signal.SIGKILL) -> None:
    """The kernel sends this process `sent` when its parent ends, however that happens.

    For processes that a server of ours forks (web workers, task pools). On systems other than
    Linux nothing happens; the runner's watcher does it there.
    """
    if sys.platform != "linux":
        return
    parent = parent_of_start()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sent), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked to tell
        os.kill(os.getpid(), sent)


def parent_of_start() -> int:
    """Who forked us, even when it has ended since and we were given to another.

    The runner starts each server as the leader of a group of its own, and what the server forks
    stays in it. A web worker takes a second to come this far: long enough to lose its parent.
    """
    leader = os.getpgrp()
    if os.environ.get("ENGAGE_INSTANCE") and leader != os.getpid():
        return leader
    return os.getppid()


def say_ready() -> None:
    """Tell the runner, where one started us, that we are at work. Safe to run twice."""
    if path := os.environ.get(READY_FILE):
        with suppress(OSError):  # a disk that is full must not end what works without it
            Path(path).touch()


def is_alive(pid: int) -> bool:
    """A zombie counts as dead: nobody can wait for it but its parent."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return sys.platform != "linux"
    return state != b"Z"


def list_holders(path: Path) -> list[int]:
    """Processes other than this one that have the file open; empty where there is no /proc."""
    wanted = os.path.realpath(path)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid() and holds(folder / "fd", wanted):
            found.append(int(folder.name))
    return found


def holds(descriptors: Path, wanted: str) -> bool:
    try:
        return any(os.readlink(entry) == wanted for entry in os.scandir(descriptors))
    except OSError:  # it ended, or it is somebody else's
        return False


def peak_memory_mb() -> float:
    """The most this process ever had in memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
