"""How the similar-items build grows, on one thread: writes benchmarks/GROWTH.md.

python -m benchmarks.growth
"""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from django.conf import settings

from benchmarks.rows import memory_gb, processor, revision
from benchmarks.similar_build import TOP, build, draw_pairs, similar_items

GROWTH = Path(__file__).resolve().parent / "GROWTH.md"
INTERACTIONS = (1_000_000, 3_000_000, 10_000_000, 25_000_000)
ITEMS = (20_000, 200_000)
ROUNDS = 3
HEADINGS = (
    "items",
    "interactions",
    "pairs",
    "pair additions",
    "seconds",
    "ns an addition",
    "extra MB",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    items: int
    interactions: int
    pairs: int
    additions: int
    seconds: float
    extra_mb: float

    def cells(self) -> tuple[str, ...]:
        return (
            f"{self.items:,}",
            f"{self.interactions / 1e6:g} M",
            f"{self.pairs / 1e6:.1f} M",
            f"{self.additions / 1e6:,.0f} M",
            f"{self.seconds:.2f}",
            f"{self.seconds / self.additions * 1e9:.1f}",
            f"{self.extra_mb:.0f}",
        )


def main() -> None:
    settings.configure()  # of no database: `measured` closes connections, and there are none
    points = []
    print(line(HEADINGS), line("---:" for _ in HEADINGS), sep="\n")
    for items in ITEMS:
        for interactions in INTERACTIONS:
            points.append(measure(interactions, items=items))
            print(line(points[-1].cells()), flush=True)
    write(points, now=datetime.now(UTC))


def measure(interactions: int, *, items: int) -> Point:
    pairs = draw_pairs(interactions, items=items)
    built = build(similar_items, pairs, rounds=ROUNDS)
    return Point(
        items=items,
        interactions=interactions,
        pairs=pairs.nnz,
        additions=int((np.diff(pairs.indptr).astype(np.int64) ** 2).sum()),
        seconds=built.seconds,
        extra_mb=built.extra_mb,
    )


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(points: list[Point], *, now: datetime) -> None:
    lines = [line(HEADINGS), line("---:" for _ in HEADINGS), *(line(p.cells()) for p in points)]
    table = "\n".join(lines)
    GROWTH.write_text(
        "# How the similar-items build grows\n\n"
        f"Made by `python -m benchmarks.growth`: the best {TOP} neighbours on one thread, from\n"
        'pairs drawn as for the row "similar-items build". Pair additions are the sum over\n'
        "profiles of their pairs squared; seconds are those of the fastest of "
        f"{ROUNDS} rounds.\n\n"
        f"{table}\n\n"
        f"- date: {now:%Y-%m-%d %H:%M} UTC\n"
        f"- revision: {revision()}\n"
        f"- machine: {processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB\n"
        f"- Python {platform.python_version()}, numpy {version('numpy')}, "
        f"scipy {version('scipy')}, numba {version('numba')}\n"
    )


if __name__ == "__main__":
    main()
