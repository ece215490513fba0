"""The rows of the benchmark table: a figure, its yardstick from the same run, and the goal."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
PACKAGES = ("Django", "granian", "redis", "psycopg2-binary", "numpy", "numba", "python-liquid")
HEADINGS = ("row", "value", "yardstick", "its value", "ratio", "goal", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`ratio` is value / yardstick_value. `goal` None: a figure to know, without a goal."""

    name: str
    value: float
    unit: str
    yardstick_name: str
    yardstick_value: float
    ratio: float
    goal: float | None = None
    at_most: bool = False  # the goal is an upper bound, as for times

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal

    def cells(self) -> tuple[str, ...]:
        sign = "≤" if self.at_most else "≥"
        verdict = {None: "", True: "met", False: "**short**"}[self.met]
        return (
            self.name,
            f"{_figure(self.value)} {self.unit}",
            self.yardstick_name,
            f"{_figure(self.yardstick_value)} {self.unit}",
            f"{self.ratio:.2f}",
            f"{sign} {self.goal:g}" if self.goal is not None else "",
            verdict,
        )


def table(rows: Sequence[Row]) -> str:
    """A Markdown table, its columns as wide as they need to be."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEADINGS))]
    shown = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "| " + " | ".join("-" * max(width, 3) for width in widths) + " |"
    return "\n".join([shown[0], rule, *shown[1:]])


def write_results(rows: Sequence[Row], *, now: datetime, path: Path = RESULTS) -> None:
    """Replace the results file by this run."""
    path.write_text(
        "# Benchmark results\n\n"
        "Made by `make bench`. Each yardstick was measured in the same run as its row, so the\n"
        "ratios travel to other machines; the absolute figures do not.\n\n"
        f"{table(rows)}\n\n"
        f"- date: {now:%Y-%m-%d %H:%M} UTC\n"
        f"- revision: {revision()}\n"
        f"- machine: {processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB\n"
        f"- system: {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {_stores()}\n"
        f"- packages: {', '.join(f'{name} {version(name)}' for name in PACKAGES)}\n"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def revision() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=RESULTS.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _stores() -> str:
    from django.db import connection

    from engage.lib.redis import client

    number = connection.cursor().connection.server_version
    redis_version = client().info("server")["redis_version"]
    return f"PostgreSQL {number // 10000}.{number % 10000}, Redis {redis_version}"
