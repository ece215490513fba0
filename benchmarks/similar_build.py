"""The similar-items build against `implicit` and `sparse_dot_topn`: same pairs, one thread each.

BENCH_INTERACTIONS is the number of interactions drawn, of BENCH_ITEMS items.
"""

import ctypes
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.measure import Step, measured
from benchmarks.rows import Row
from recommendations.algorithms.correlation import SimilarItems

INTERACTIONS = int(os.environ.get("BENCH_INTERACTIONS", "25_000_000"))
ITEMS = int(os.environ.get("BENCH_ITEMS", "200_000"))
ACTIVITY = 25  # interactions of a profile, on average
ACTIVITY_SPREAD = 0.9  # of its logarithm
CLUSTERS = 1_000  # of items that the same profiles like
LOYAL = 0.7  # share of the interactions inside the profile's cluster
ZIPF = 0.8
TOP = 20
MEMORY_MB = 500  # the bound of the extra memory, for 18 M pairs of 200 k items
AGREEMENT = 1e-3  # relative difference allowed between the sums of all scores
SEED = 7


@dataclass(frozen=True, slots=True)
class Built:
    seconds: float
    extra_mb: float
    total: float  # of the scores found


Build = Callable[[csr_matrix], float]


def run() -> list[Row]:
    pairs = draw_pairs(INTERACTIONS, items=ITEMS)
    ours = build(similar_items, pairs)
    size = f"{pairs.nnz / 1e6:.1f} M pairs × {ITEMS // 1000:,} k items"
    rows = []
    for package, theirs in THEIRS.items():
        try:
            name = f"{package} {version(package)}, one thread"
        except PackageNotFoundError:
            print(f"similar-items build: {package} is not installed, no ratio", file=sys.stderr)
            continue
        other = build(theirs, pairs)
        if abs(other.total / ours.total - 1) > AGREEMENT:
            raise ValueError(f"{package} finds other scores: {other.total} for {ours.total}")
        rows += [
            row(f"similar-items build, {size}", "s", ours.seconds, name, other.seconds, goal=1),
            row("similar-items build, extra memory", "MB", ours.extra_mb, name, other.extra_mb),
        ]
    bound = "the bound for 18 M pairs × 200 k items"
    return [
        *rows,
        row("similar-items build, extra memory", "MB", ours.extra_mb, bound, MEMORY_MB, goal=1),
    ]


def row(
    name: str, unit: str, value: float, other: str, theirs: float, *, goal: float | None = None
) -> Row:
    return Row(
        name=name,
        value=value,
        unit=unit,
        yardstick_name=other,
        yardstick_value=theirs,
        ratio=value / theirs,
        goal=goal,
        at_most=True,
    )


def draw_pairs(interactions: int, *, items: int) -> csr_matrix:
    """Zipf draws by profiles of log-normal activity, part of them inside the profile's cluster.

    Returns
    -------
    csr_matrix of shape (n_profiles, items), dtype int64, indices sorted, all values 1
        Pairs drawn twice count once.
    """
    rng = np.random.default_rng(SEED)
    profiles = interactions // ACTIVITY
    activity = rng.lognormal(sigma=ACTIVITY_SPREAD, size=profiles)
    ends = np.rint(np.cumsum(activity) / activity.sum() * interactions).astype(np.int64)
    profile = np.repeat(np.arange(profiles, dtype=np.int32), np.diff(ends, prepend=0))
    power = 1 - ZIPF  # the inverse of the integral of x ** -ZIPF from 1 to items + 1
    uniform = rng.random(interactions)
    rank = (uniform * ((items + 1) ** power - 1) + 1) ** (1 / power) - 1
    rank = np.minimum(rank, items - 1).astype(np.int32)
    cluster = rng.integers(0, CLUSTERS, profiles).astype(np.int32)
    inside = np.flatnonzero(rng.random(interactions) < LOYAL)
    rank[inside] += cluster[profile[inside]] - rank[inside] % CLUSTERS
    item = rng.permutation(items).astype(np.int32)[np.minimum(rank, items - 1)]
    bounds = np.append(0, ends)
    pairs = csr_matrix((np.ones(interactions, np.int64), item, bounds), shape=(profiles, items))
    pairs.sum_duplicates()
    pairs.data[:] = 1
    return pairs


def build(step: Build, pairs: csr_matrix, *, rounds: int = 1) -> Built:
    """Run in a process of its own, after a small run that loads and compiles what it needs.

    The time is that of the fastest round.
    """
    few = pairs[:100]
    give_back_memory()

    def work() -> dict[str, Any]:
        step(few)
        before = resident_mb()
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            total = step(pairs)
            seconds.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": min(seconds), "extra_mb": peak - before, "total": total}

    done: Step = measured(step.__name__, work)
    return Built(**done.facts)


def give_back_memory() -> None:
    """What earlier steps freed, so that the new process does not find it at hand."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


# --- the builders: cosine, the best 20 of each item; the sum of the scores --------------------


def similar_items(pairs: csr_matrix) -> float:
    model = SimilarItems(damping=0.0, top=TOP, threads=1).fit(pairs)
    return float(model.scores_.sum(dtype=np.float64))


def implicit(pairs: csr_matrix) -> float:
    from implicit.nearest_neighbours import CosineRecommender

    model = CosineRecommender(K=TOP + 1, num_threads=1)  # an item is its own best neighbour
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it hands itself a matrix that it has to convert
        model.fit(pairs, show_progress=False)
    return without_itself(model.similarity)


def sparse_dot_topn(pairs: csr_matrix) -> float:
    from sparse_dot_topn import sp_matmul_topn

    length = np.sqrt(np.maximum(np.bincount(pairs.indices, minlength=pairs.shape[1]), 1))
    values = (1 / length[pairs.indices]).astype(np.float32)
    by_profile = csr_matrix((values, pairs.indices, pairs.indptr), shape=pairs.shape)
    by_item = by_profile.T.tocsr()
    return without_itself(sp_matmul_topn(by_item, by_profile, top_n=TOP + 1, n_threads=1))


def without_itself(similarity: csr_matrix) -> float:
    return float(similarity.sum(dtype=np.float64) - similarity.diagonal().sum(dtype=np.float64))


THEIRS: dict[str, Build] = {"implicit": implicit, "sparse_dot_topn": sparse_dot_topn}
