"""Starting and stopping direct children: each in a group of its own, none outlives us."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from engage.runner import watcher

Identity = Literal["same", "namespace", "account"]
LAUNCHER = Path(__file__).with_name("launch.py")


def start(
    program: Sequence[str | Path],
    *,
    parting: signal.Signals,
    identity: Identity = "same",
    nice: int = 0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program; `parting` is what it gets when this process is killed.

    To be called from a thread that lives as long as the child may: Linux counts the end of the
    starting thread as the end of the parent.
    """
    child = subprocess.Popen(
        launch_line(program, parting=parting, identity=identity, nice=nice),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env=dict(env) if env is not None else None,
        cwd=cwd,
        pass_fds=pass_fds,
        process_group=0,  # the terminal's Ctrl-C reaches only us
    )
    watcher.watch(child.pid, parting)
    return child


def launch_line(
    program: Sequence[str | Path],
    *,
    parting: signal.Signals,
    identity: Identity = "same",
    nice: int = 0,
) -> list[str]:
    shim = [sys.executable, "-I", "-S", str(LAUNCHER)]
    facts = [str(os.getpid()), str(int(parting)), identity, str(nice)]
    return [*shim, *facts, "--", *(str(part) for part in program)]


def stop(
    children: Sequence[subprocess.Popen[bytes]], *, first: signal.Signals, patience_seconds: float
) -> None:
    for child in children:
        ask_to_end(child, first)
    wait_and_end(children, patience_seconds=patience_seconds)


def ask_to_end(child: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    if child.poll() is None:
        with suppress(ProcessLookupError):
            child.send_signal(sent)


def wait_and_end(children: Sequence[subprocess.Popen[bytes]], *, patience_seconds: float) -> None:
    """Wait for all together, then end what is left of their groups."""
    deadline = time.monotonic() + patience_seconds
    try:
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(deadline - time.monotonic(), 0))
    finally:  # also when somebody does not want to wait any longer
        for child in children:
            kill_group(child)


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """End a child and whatever it started and did not take away into another group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    watcher.forget(child.pid)
