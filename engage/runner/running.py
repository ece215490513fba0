"""The whole of Engage as a context manager, for the demo and for tests of whole paths."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engage.runner import children
from engage.runner.errors import StartFailed
from engage.runner.status import read_status

READY_SECONDS = 120.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.05
MANAGE_PY = Path(__file__).resolve().parents[2] / "manage.py"


@dataclass(frozen=True, slots=True)
class Up:
    """A running `manage.py up`."""

    process: "subprocess.Popen[bytes]"
    data_dir: Path
    url: str
    instance: str

    def children(self) -> dict[str, int]:
        """Name and process number of each child, as of its latest start."""
        return dict(read_status(self.data_dir).get("children", {}))


@contextmanager
def running(
    *,
    data_dir: Path,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    output: int | None = None,
) -> Iterator[Up]:
    """Start `manage.py up` on a data folder, wait until it is ready, stop it at the end.

    Raises
    ------
    StartFailed
        If it ended or was not ready in time; its words are in `output`.
    """
    process = start(data_dir=data_dir, port=port, env=env, output=output)
    try:
        yield wait_until_ready(process, data_dir)
    finally:
        children.stop([process], first=signal.SIGINT, patience_seconds=STOP_SECONDS)


def start(
    *,
    data_dir: Path,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    output: int | None = None,
) -> "subprocess.Popen[bytes]":
    given = {**os.environ, **(env or {}), "ENGAGE_DATA_DIR": str(data_dir)}
    if port is not None:
        given["ENGAGE_PORT"] = str(port)
    given.pop("ENGAGE_INSTANCE", None)
    return children.start(
        [sys.executable, MANAGE_PY, "up"], parting=signal.SIGKILL, env=given, output=output
    )


def wait_until_ready(process: "subprocess.Popen[bytes]", data_dir: Path) -> Up:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        facts = read_status(data_dir)
        if facts.get("ready") and facts.get("pid") == process.pid:
            return Up(process, data_dir, str(facts["url"]), str(facts["instance"]))
        if process.poll() is not None:
            raise StartFailed(f"manage.py up ended with code {process.returncode}.")
        time.sleep(LOOK_SECONDS)
    raise StartFailed("manage.py up was not ready in time.")


def stop_when_asked(answer: Callable[..., object]) -> None:
    """Call `answer` on Ctrl-C, a polite kill, or the end of the terminal.

    What was started to outlive its terminal (`nohup`) does.
    """
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if asked != signal.SIGHUP or signal.getsignal(asked) != signal.SIG_IGN:
            signal.signal(asked, answer)
