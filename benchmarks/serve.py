"""Ranking for one profile and for ten thousand, against gathering the same rows in numpy."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Row
from recommendations.algorithms.ranking import CLOSED, HISTORY, Asked, Ranked, rank
from recommendations.algorithms.reranking import Cap, choose

Table = NDArray[Any]
ITEMS, NEIGHBOURS, PROFILES, SINGLES, PICKS = 100_000, 100, 10_000, 2_000, 10
CANDIDATES = 50  # of each profile that is re-ranked
ELIGIBLE = 0.3  # share of the items that a filter leaves
GATHERED_AT_ONCE = 1_000  # profiles; the gathered rows stay small
ROUNDS = 7


def run() -> list[Row]:
    rng = np.random.default_rng(7)
    neighbours = rng.integers(0, ITEMS, (ITEMS, NEIGHBOURS)).astype(np.int32)
    strength = -np.sort(-rng.random((ITEMS, NEIGHBOURS), np.float32), axis=1)
    recent = rng.integers(0, ITEMS, (PROFILES, HISTORY)).astype(np.int32)
    groups = np.where(rng.random(ITEMS) < ELIGIBLE, -1, CLOSED).astype(np.int32)

    def serve(asked: Asked) -> None:
        rank(neighbours, strength, asked, groups=groups, n=PICKS)

    everybody = lists_of(recent)
    singles = [lists_of(recent[u : u + 1]) for u in range(SINGLES)]
    rows = [recent[u] for u in range(SINGLES)]

    def gather_singles() -> None:
        for row in rows:
            neighbours[row]
            strength[row]

    def serve_singles() -> None:
        for asked in singles:
            serve(asked)

    def gather_all() -> None:
        for start in range(0, PROFILES, GATHERED_AT_ONCE):
            asked = recent[start : start + GATHERED_AT_ONCE]
            neighbours[asked]
            strength[asked]

    one = compare(serve_singles, gather_singles, people=SINGLES)
    many = compare(lambda: serve(everybody), gather_all, people=PROFILES)
    return [
        row_of("serve one profile", *one, goal=2.0),
        row_of("serve 10,000 profiles at once", *many, goal=3.0),
        reranked(neighbours, strength, everybody, groups),
    ]


def reranked(neighbours: Table, strength: Table, everybody: Asked, groups: Table) -> Row:
    """Variety and two caps, against ranking the candidates in the first place."""
    rng = np.random.default_rng(8)
    category, brand = (rng.integers(0, size, ITEMS).astype(np.int32) for size in (100, 1_000))
    caps = [Cap(category, 2), Cap(brand, 1)]
    wanted, nothing = np.full(PROFILES, PICKS), np.zeros((PROFILES, 0), np.int32)

    def ranked() -> Ranked:
        return rank(neighbours, strength, everybody, groups=groups, n=CANDIDATES)

    found = ranked()
    relevance = found.scores.astype(np.float64)

    def rerank() -> None:
        choose(
            found.items,
            relevance,
            wanted=wanted,
            chosen=nothing,
            variety=0.3,
            kinds=[category, brand],
            caps=caps,
        )

    value, yardstick = compare(rerank, ranked, people=PROFILES)
    return Row(
        name="re-rank 10,000 profiles, 50 candidates each",
        value=value,
        unit="µs a profile",
        yardstick_name="rank the candidates",
        yardstick_value=yardstick,
        ratio=value / yardstick,
        goal=5.0,
        at_most=True,
    )


def lists_of(recent: np.ndarray) -> Asked:
    """What each profile touched last, which is not recommended back."""
    people, length = recent.shape
    bounds = 2 * length * np.arange(people)[:, None] + length * np.arange(3)
    return Asked(bounds, np.hstack([recent, recent]).ravel())


def compare(
    work: Callable[[], object], yardstick: Callable[[], object], *, people: int
) -> tuple[float, float]:
    """Microseconds a profile of both: medians of rounds that take turns."""
    times: dict[Callable[[], object], list[float]] = {work: [], yardstick: []}
    work()  # compile
    for _ in range(ROUNDS):
        for each, found in times.items():
            start = time.perf_counter()
            each()
            found.append((time.perf_counter() - start) / people * 1e6)
    return float(np.median(times[work])), float(np.median(times[yardstick]))


def row_of(name: str, value: float, yardstick: float, *, goal: float) -> Row:
    return Row(
        name=name,
        value=value,
        unit="µs a profile",
        yardstick_name="gather the same rows in numpy",
        yardstick_value=yardstick,
        ratio=value / yardstick,
        goal=goal,
        at_most=True,
    )
