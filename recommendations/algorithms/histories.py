"""What people did before the moment at which they are asked: the input of every source."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.log import Log

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """One history per question, each oldest first.

    Attributes
    ----------
    bounds : ndarray of shape (n_asked + 1,), dtype int64
        Question `u` has the events ``bounds[u]:bounds[u + 1]``.
    item : ndarray of shape (n_events,), dtype int32
    weight : ndarray of shape (n_events,), dtype int32
    ts_ms : ndarray of shape (n_events,), dtype int64, unit: milliseconds since 1970
    now_ms : ndarray of shape (n_asked,), dtype int64
        When each is asked.
    n_items : int
    """

    bounds: NDArray[np.int64]
    item: NDArray[np.int32]
    weight: NDArray[np.int32]
    ts_ms: NDArray[np.int64]
    now_ms: NDArray[np.int64]
    n_items: int

    def __len__(self) -> int:
        return self.now_ms.size

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.bounds)

    @property
    def question(self) -> NDArray[np.int64]:
        """Which question each event belongs to; shape (n_events,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def blocks(self, size: int) -> Iterator[tuple[int, "Histories"]]:
        """Parts of at most `size` questions, each with the number of its first."""
        for first in range(0, len(self), size):
            yield first, self.part(first, min(first + size, len(self)))

    def part(self, first: int, last: int) -> "Histories":
        """The questions `first` to `last`."""
        begin, end = self.bounds[first], self.bounds[last]
        return Histories(
            self.bounds[first : last + 1] - begin,
            self.item[begin:end],
            self.weight[begin:end],
            self.ts_ms[begin:end],
            self.now_ms[first:last],
            self.n_items,
        )

    def without(self, events: NDArray[np.bool_]) -> "Histories":
        """The same questions, the marked events gone from their histories."""
        kept = ~events
        left = np.bincount(self.question[kept], minlength=len(self))
        return Histories(
            np.append(0, np.cumsum(left)),
            self.item[kept],
            self.weight[kept],
            self.ts_ms[kept],
            self.now_ms,
            self.n_items,
        )

    def chosen(self, questions: NDArray[Any]) -> "Histories":
        """The questions with these numbers, in their order."""
        lengths = self.lengths[questions]
        bounds = np.append(0, np.cumsum(lengths))
        events = np.repeat(self.bounds[:-1][questions] - bounds[:-1], lengths)
        events += np.arange(bounds[-1])
        return Histories(
            bounds,
            self.item[events],
            self.weight[events],
            self.ts_ms[events],
            self.now_ms[questions],
            self.n_items,
        )


def histories_of(log: Log, profiles: NDArray[Any], *, now_ms: NDArray[Any] | int) -> Histories:
    """All that the profiles did in the log; the caller sees to it that nothing is later."""
    every = Histories(
        log.bounds(),
        log.item,
        log.weight,
        log.ts_ms,
        np.zeros(log.n_profiles, np.int64),
        log.n_items,
    ).chosen(profiles)
    now = np.broadcast_to(np.asarray(now_ms, np.int64), (len(profiles),))
    return Histories(every.bounds, every.item, every.weight, every.ts_ms, now, log.n_items)


def recency(
    asked: Histories,
    *,
    fading: float = 1.0,
    cap: int | None = None,
    half_life_days: float | None = None,
) -> csr_matrix:
    """Each item of a history once, weighted by how recently it was touched.

    Parameters
    ----------
    asked : Histories
    fading : float
        The newest item has weight 1, each one before it `fading` times the weight of the next.
    cap : int, optional, unit: items
        Only so many of the newest.
    half_life_days : float, optional
        Besides, a touch so much older than the question counts half.

    Returns
    -------
    csr_matrix of shape (n_asked, n_items), dtype float32, indices sorted
    """
    question = asked.question
    key = question * max(asked.n_items, 1) + asked.item
    # The last touch of each item: the first of its key from the end on.
    _, from_end = np.unique(key[::-1], return_index=True)
    last = np.sort(key.size - 1 - from_end)
    question = question[last]
    ends = np.searchsorted(question, np.arange(len(asked)), side="right")
    place = ends[question] - 1 - np.arange(last.size)  # 0 is the newest
    weight = np.power(np.float64(fading), place)
    if half_life_days is not None:
        age_days = (asked.now_ms[question] - asked.ts_ms[last]) / DAY_MS
        weight *= 0.5 ** (np.maximum(age_days, 0) / half_life_days)
    if cap is not None:
        weight[place >= cap] = 0
    kept = weight > 1e-6  # what is fainter moves no rank, and would cost as much as the newest
    shape = (len(asked), asked.n_items)
    found = csr_matrix(
        (weight[kept].astype(np.float32), (question[kept], asked.item[last][kept])), shape=shape
    )
    found.sort_indices()
    return found


def touched(asked: Histories) -> csr_matrix:
    """True where the history has the item; shape (n_asked, n_items)."""
    found = csr_matrix(
        (np.ones(asked.item.size, np.bool_), asked.item.copy(), asked.bounds.copy()),
        shape=(len(asked), asked.n_items),
    )  # copies: the next line sorts in place
    found.sum_duplicates()
    return found
