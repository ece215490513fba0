"""The steps of a build: how long each took, and how far the work is, for whoever listens."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from engage.lib import screen
from engage.lib.processes import peak_memory_mb
from recommendations.models import Build

Progress = Callable[[str, float], None]  # name of the step, share of the whole work done
Tell = Callable[[float], None]  # share of one step
# What share of the work has been done when a step begins, in a shop of a million events.
STEPS: Final[Mapping[str, float]] = {
    "read": 0.0,
    "choose": 0.02,
    "measure": 0.5,
    "compare": 0.75,
    "learn": 0.76,
    "write": 0.98,
}
ROW_EVERY_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 30  # then a page says so: a killed build says nothing either


@dataclass(slots=True)
class Timer:
    """Seconds of each step, and who hears about them."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    present: str = "read"

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.present = name
        self.part(0.0)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)

    def part(self, share: float) -> None:
        """So much of the present step is done."""
        begin = STEPS[self.present]
        end = min((start for start in STEPS.values() if start > begin), default=1.0)
        self.progress(self.present, begin + share * (end - begin))

    def total(self) -> float:
        return round(sum(self.seconds.values()), 3)

    def figures(self) -> dict[str, float]:
        return self.seconds | {"total": self.total(), "peak_memory_mb": peak_memory_mb()}


def tell_row(build: Build, *, also: Progress | None = None) -> Progress:
    """What writes into the build's row, outside of transactions, and tells somebody else, too.

    Within a step the row hears at most once a second.
    """
    began = heard = time.monotonic()

    def tell(step: str, share: float) -> None:
        nonlocal heard
        clock = time.monotonic()
        if step != build.progress.get("step") or clock - heard >= ROW_EVERY_SECONDS:
            heard = clock
            told = build.started_at + timedelta(seconds=clock - began)
            build.progress = {"step": step, "share": round(share, 3), "told": told.isoformat()}
            Build.objects.filter(pk=build.pk).update(progress=build.progress)
        if also:
            also(step, share)

    return tell


def describe(build: Build, *, now: datetime) -> tuple[float, str]:
    """The share of the work a running build has told of, and what it does."""
    told = build.progress
    if not told:
        return 0.0, "begins"
    silent = (now - datetime.fromisoformat(told["told"])).total_seconds()
    word = f", no word for {screen.duration(silent)}" if silent >= SILENT_SECONDS else ""
    return told["share"], f"{told['step']}{word}"
