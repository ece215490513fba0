"""Interactions in one canonical order, and the two shapes that models learn from.

The order is (profile, time, item, weight), so a log is the same bits whatever order its rows came
in. Items and profiles are numbers; items are numbered in the order of their ids, which makes "ties
by item number" mean "ties by product id".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """What profiles did with items.

    Attributes
    ----------
    profile : ndarray of shape (n_events,), dtype int32, ascending
    item : ndarray of shape (n_events,), dtype int32
    weight : ndarray of shape (n_events,), dtype int32, all > 0
        How much an event says about the liking of its item.
    ts_ms : ndarray of shape (n_events,), dtype int64, unit: milliseconds since 1970
    n_profiles, n_items : int
    """

    profile: NDArray[np.int32]
    item: NDArray[np.int32]
    weight: NDArray[np.int32]
    ts_ms: Ints
    n_profiles: int
    n_items: int

    def __len__(self) -> int:
        return self.item.size

    def take(self, chosen: Mask) -> "Log":
        """The chosen events; profiles and items keep their numbers."""
        return Log(
            self.profile[chosen],
            self.item[chosen],
            self.weight[chosen],
            self.ts_ms[chosen],
            self.n_profiles,
            self.n_items,
        )

    def bounds(self) -> Ints:
        """Where each profile's events begin; shape (n_profiles + 1,)."""
        return np.searchsorted(self.profile, np.arange(self.n_profiles + 1)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What profiles did with items, in any order; fields as in `Log`."""

    profile: Ints
    item: NDArray[np.int32]
    weight: NDArray[np.int32]
    ts_ms: Ints
    n_items: int

    def __len__(self) -> int:
        return self.item.size

    def take(self, chosen: Mask) -> "Events":
        return Events(
            self.profile[chosen],
            self.item[chosen],
            self.weight[chosen],
            self.ts_ms[chosen],
            self.n_items,
        )

    def as_log(self) -> Log:
        """In the canonical order, the profiles numbered from 0."""
        _, profile = np.unique(self.profile, return_inverse=True)
        return make_log(
            profile, self.item, weight=self.weight, ts_ms=self.ts_ms, n_items=self.n_items
        )


def make_log(
    profile: NDArray[Any],
    item: NDArray[Any],
    *,
    weight: NDArray[Any] | None = None,
    ts_ms: NDArray[Any] | None = None,
    n_items: int,
    n_profiles: int | None = None,
) -> Log:
    """Bring rows into the canonical order; rows of weight 0 are left out.

    Parameters
    ----------
    profile, item : integer ndarrays of shape (n_events,)
        Profiles count from 0; items are below `n_items`.
    weight : integer ndarray of shape (n_events,), default all 1
    ts_ms : integer ndarray of shape (n_events,), unit: milliseconds, default all 0
    n_items : int
    n_profiles : int, default the largest profile + 1

    Returns
    -------
    Log

    Raises
    ------
    ValueError
        If the columns differ in length or a number is outside its range.
    """
    size = profile.size
    weight = np.ones(size, np.int32) if weight is None else weight
    ts_ms = np.zeros(size, np.int64) if ts_ms is None else ts_ms
    if not size == item.size == weight.size == ts_ms.size:
        raise ValueError("the columns of a log must have the same length")
    n_profiles = int(profile.max(initial=-1)) + 1 if n_profiles is None else n_profiles
    for name, column, limit in (("profile", profile, n_profiles), ("item", item, n_items)):
        if size and not (int(column.min()) >= 0 and int(column.max()) < limit):
            raise ValueError(f"a number in {name} is outside 0..{limit - 1}")
    kept = np.flatnonzero(weight > 0)
    order = kept[np.lexsort((weight[kept], item[kept], ts_ms[kept], profile[kept]))]
    return Log(
        profile[order].astype(np.int32),
        item[order].astype(np.int32),
        weight[order].astype(np.int32),
        ts_ms[order].astype(np.int64),
        n_profiles,
        n_items,
    )


def distinct(numbers: NDArray[Any]) -> NDArray[Any]:
    """Each number once, ascending: `numpy.unique`, which hashes and takes ten times as long."""
    ordered = np.sort(numbers)
    first = np.ones(ordered.size, bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def newest(log: Log, *, cap: int) -> Log:
    """Only the newest `cap` events of each profile: one crawler must not cost like a million."""
    ends = log.bounds()[1:]
    from_end = ends[log.profile] - np.arange(len(log))
    return log.take(from_end <= cap)


def last_touches(log: Log, *, cap: int) -> Log:
    """Each item once per profile, at its last touch, with its largest weight; newest `cap` kept.

    Parameters
    ----------
    log : Log
    cap : int, unit: items per profile

    Returns
    -------
    Log
        In the canonical order, by the time of the last touch.
    """
    key = log.profile.astype(np.int64) * max(log.n_items, 1) + log.item
    order = np.argsort(key, kind="stable")  # stable: the last of a run is the newest touch
    run_starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    if not run_starts.size:
        return log
    weight = np.maximum.reduceat(log.weight[order], run_starts)
    last = order[np.append(run_starts[1:], order.size) - 1]
    back = np.argsort(last)  # positions in the log are already in the canonical order
    rows = last[back]
    once = Log(
        log.profile[rows],
        log.item[rows],
        weight[back],
        log.ts_ms[rows],
        log.n_profiles,
        log.n_items,
    )
    return newest(once, cap=cap)


def matrix(log: Log, *, cap: int, weighted: bool = False) -> csr_matrix:
    """Profiles × items; 1, or the largest weight of the pair.

    Parameters
    ----------
    log : Log
    cap : int, unit: items per profile
        The newest are kept.
    weighted : bool

    Returns
    -------
    csr_matrix of shape (n_profiles, n_items), dtype int64, indices sorted
    """
    once = last_touches(log, cap=cap)
    values = once.weight.astype(np.int64) if weighted else np.ones(len(once), np.int64)
    found = csr_matrix((values, once.item, once.bounds()), shape=(log.n_profiles, log.n_items))
    found.sort_indices()
    return found


def sequences(log: Log, *, cap: int) -> Log:
    """The newest `cap` steps of each profile; touching one item again and again is one step."""
    same = np.zeros(len(log), bool)
    same[1:] = (log.item[1:] == log.item[:-1]) & (log.profile[1:] == log.profile[:-1])
    return newest(log.take(~same), cap=cap)
