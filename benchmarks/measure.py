"""Runs a step in a process of its own: seconds, peak memory, and the facts it returns."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    seconds: float
    peak_mb: float  # resident memory of the step's process, libraries included
    facts: dict[str, Any]
    cpu_seconds: float = 0.0  # of all cores: what a busy machine does not stretch


class StepFailed(Exception):
    """The step's process ended badly; its words are on standard error."""


def measured(name: str, step: Callable[[], dict[str, Any]]) -> Step:
    """Run `step` in a forked process; what it returns must be JSON.

    Raises
    ------
    StepFailed
        If the process does not end with 0.
    """
    connections.close_all()
    reader, writer = os.pipe()
    sys.stdout.flush()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        _run_and_exit(step, writer)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        raise StepFailed(f"{name} ended with {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - start
    return Step(
        name,
        round(seconds, 2),
        round(usage.ru_maxrss / 1024, 1),
        json.loads(answer),
        round(usage.ru_utime + usage.ru_stime, 2),
    )


def _run_and_exit(step: Callable[[], dict[str, Any]], writer: int) -> None:
    code = 1
    try:
        with os.fdopen(writer, "w") as pipe:
            json.dump(step(), pipe)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
