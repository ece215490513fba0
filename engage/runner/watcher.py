"""Ends the children of a killed runner where the kernel cannot (anything but Linux).

A small process holds the other end of a pipe. When the runner ends, however that happens, the pipe
closes, and the watcher ends every process group it was told of. Linux does not need it (see
`launch.py`). On macOS it has not been tried; the test runs it on Linux.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache

PATIENCE_SECONDS = 3.0


def watch(group: int, sent: int) -> None:
    if sys.platform != "linux":
        tell(pipe(), f"{group} {int(sent)}")


def forget(group: int) -> None:
    if sys.platform != "linux":
        tell(pipe(), f"{group} 0")


@cache
def pipe() -> int:
    return start()


def start() -> int:
    """Start a watcher; the answer is the end of the pipe that keeps it waiting."""
    theirs, ours = os.pipe()
    subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        process_group=0,
    )
    os.close(theirs)
    return ours


def tell(watcher: int, line: str) -> None:
    with suppress(BrokenPipeError):
        os.write(watcher, line.encode() + b"\n")


def main() -> None:
    groups: dict[int, int] = {}
    for line in sys.stdin:
        group, sent = map(int, line.split())
        groups.pop(group, None)
        if sent:
            groups[group] = sent
    end(groups)


def end(groups: dict[int, int]) -> None:
    for group, sent in groups.items():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, sent)
    time.sleep(PATIENCE_SECONDS)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
