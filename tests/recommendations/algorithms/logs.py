"""Small logs and histories for tests of the numerics."""

import numpy as np

from recommendations.algorithms.histories import Histories, histories_of
from recommendations.algorithms.log import Log, make_log


def log_of(*paths: list[int], n_items: int) -> Log:
    """One profile per list of items, a millisecond between the steps."""
    profile = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
    item = np.array([item for path in paths for item in path], np.int64)
    ts_ms = np.array([step for path in paths for step in range(len(path))], np.int64)
    return make_log(profile, item, ts_ms=ts_ms, n_items=n_items, n_profiles=len(paths))


def ask(*paths: list[int], n_items: int, now_ms: int = 0) -> Histories:
    log = log_of(*paths, n_items=n_items)
    return histories_of(log, np.arange(len(paths)), now_ms=now_ms)


def random_paths(rng: np.random.Generator, *, people: int, n_items: int) -> list[list[int]]:
    return [rng.integers(0, n_items, rng.integers(1, 9)).tolist() for _ in range(people)]
