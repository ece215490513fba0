"""Visits: the stretches of a log in which somebody was there, and what goes with one like mine.

For people with a short history, such as a stranger after two clicks: what stands beside their
items in the visits most like theirs. The model is `sources/sessions`; here it is asked for one
person at a time, from arrays, within a fraction of a millisecond.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import find_kernels
from recommendations.algorithms.histories import Histories
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources.sessions import LikeSessions

GAP_MS: Final = 30 * 60_000  # a longer pause ends a visit
MOST_VISITS: Final = 200_000  # the newest are learned from
REACH: Final = 1_000  # visits per item that are looked at, the newest
NEIGHBOURS: Final = 200  # visits that speak
LONGEST_VISIT: Final = 50  # steps, the newest
LONGEST: Final = 20  # items; who has a longer history is better served by all of it


def make_sessions() -> LikeSessions:
    """The model with the bounds of serving."""
    return LikeSessions(neighbours=NEIGHBOURS, reach=REACH, steps=LONGEST, cap=LONGEST_VISIT)


def visits_of(log: Log, *, gap_ms: int = GAP_MS, most: int = MOST_VISITS) -> Log:
    """The same events with a profile for each visit of two steps or more, the newest visits kept.

    Parameters
    ----------
    log : Log
    gap_ms : int, unit: milliseconds
        A longer pause begins another visit.
    most : int, unit: visits

    Returns
    -------
    Log
        Each step once: the same item again and again is one.
    """
    begins = np.ones(len(log), bool)
    begins[1:] = (log.profile[1:] != log.profile[:-1]) | (np.diff(log.ts_ms) > gap_ms)
    step = begins.copy()
    step[1:] |= log.item[1:] != log.item[:-1]
    visit = np.cumsum(begins)[step] - 1
    item, weight, ts_ms = log.item[step], log.weight[step], log.ts_ms[step]
    long_enough = np.bincount(visit)[visit] > 1 if visit.size else np.zeros(0, bool)
    visit, item, weight, ts_ms = (column[long_enough] for column in (visit, item, weight, ts_ms))
    names, visit = np.unique(visit, return_inverse=True)
    if names.size > most:
        newest = np.zeros(names.size, np.int64)
        np.maximum.at(newest, visit, ts_ms)
        kept = np.sort(np.lexsort((np.arange(names.size), newest))[names.size - most :])
        number = np.full(names.size, -1, np.int64)
        number[kept] = np.arange(most)
        inside = number[visit] >= 0
        visit, item, weight, ts_ms = (
            number[visit][inside], item[inside], weight[inside], ts_ms[inside],
        )  # fmt: skip
    n_visits = min(names.size, most)
    return Log(visit.astype(np.int32), item, weight, ts_ms, n_visits, log.n_items)


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """A fitted `LikeSessions`, as arrays; see there for `v` visits, `s` steps, `p` pairs.

    Attributes
    ----------
    bounds : (v + 1,) int64, items : (s,) int32, weight : (v,) float64
    item_bounds : (n_items + 1,) int64, visit : (p,) int32, step : (p,) int32
    rarity, target : (n_items,) float64
    """

    bounds: NDArray[np.int64]
    items: NDArray[np.int32]
    weight: NDArray[np.float64]
    item_bounds: NDArray[np.int64]
    visit: NDArray[np.int32]
    step: NDArray[np.int32]
    rarity: NDArray[np.float64]
    target: NDArray[np.float64]

    @classmethod
    def of(cls, fitted: LikeSessions) -> "Visits":
        return cls(
            fitted.bounds_.astype(np.int64),
            fitted.item_,
            fitted.weight_,
            fitted.item_bounds_,
            fitted.session_,
            fitted.step_,
            fitted.rarity_,
            fitted.target_,
        )

    @classmethod
    def none(cls, n_items: int) -> "Visits":
        """Of a shop that is served without."""
        empty = np.zeros(0, np.int32)
        return cls(
            np.zeros(1, np.int64), empty, np.zeros(0), np.zeros(n_items + 1, np.int64), empty,
            empty, np.ones(n_items), np.ones(n_items),
        )  # fmt: skip

    def __len__(self) -> int:
        return self.weight.size

    def best(
        self, recent: NDArray[np.int32], *, n: int, use_numba: bool = True
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The items that go with a history, the recent items themselves left out.

        Parameters
        ----------
        recent : ndarray of shape (k,), dtype int32
            Newest first, each once.
        n : int, unit: items
        use_numba : bool, default True
            False asks the model itself.

        Returns
        -------
        items : ndarray of shape (at most n,), dtype int32
            Best first, ties to the smaller number.
        scores : ndarray of shape (at most n,), dtype float32, above 0
        """
        kernels = find_kernels() if use_numba else None
        recent = recent[:LONGEST]
        if kernels is None:
            scores = self._by_the_model(recent)
        else:
            model = make_sessions()
            scores = kernels.score_visits(
                recent, self.bounds, self.items, self.weight, self.item_bounds, self.visit,
                self.step, self.rarity, model.worth(), model.fading, model.agreement, REACH,
                NEIGHBOURS,
            ) * self.target.astype(np.float32)  # fmt: skip
        scores[recent] = 0
        found = np.flatnonzero(scores > 0)
        order = found[np.lexsort((found, -scores[found]))][:n]
        return order.astype(np.int32), scores[order].astype(np.float32)

    def _by_the_model(self, recent: NDArray[np.int32]) -> NDArray[np.float32]:
        """The twin of the compiled loop."""
        model = make_sessions()
        model.bounds_, model.item_, model.weight_ = self.bounds, self.items, self.weight
        model.item_bounds_, model.session_, model.step_ = self.item_bounds, self.visit, self.step
        model.rarity_, model.target_ = self.rarity, self.target
        asked = Histories(
            np.array([0, recent.size]),
            recent[::-1],
            np.ones(recent.size, np.int32),
            np.zeros(recent.size, np.int64),
            np.zeros(1, np.int64),
            self.target.size,
        )
        found: NDArray[np.float32] = model.score(asked)[0]
        return found
