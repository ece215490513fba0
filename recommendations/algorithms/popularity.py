"""What sells and what is on the rise: the lists for people of whom nothing is known.

Ages are whole days before the newest event, and a day's weight is an integer, so the figures are
exact sums. They depend on the data only, not on the clock of the build.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.log import Events, Log

DAY_MS = 86_400_000
Scores = NDArray[np.float64] | NDArray[np.int64]
UNIT = 1 << 16  # integers stand for fractions of this


class Popularity:
    """Best sellers and trending items.

    Parameters
    ----------
    half_life_days : float
        An event this much older counts half.
    window_days : int
        How long "recently" is for what is trending.
    tilt : float
        The power of the trend: 0 is "most touched recently", 1 favours newcomers strongly.
    floor : float, unit: share of all events
        Added to both shares, so that a single event of a new item makes no sensation.
    sale_weight : int
        Events of this weight and more are sales.

    Attributes
    ----------
    sales_ : ndarray of shape (n_items,), dtype int64
        Decayed number of sales. Where a log has no sale at all (a news app), decayed weight.
    has_sales_ : bool
    rise_ : ndarray of shape (n_items,), dtype float64
        ``(recent share + floor) / (all-time share + floor)``, where "recent" is the weight inside
        the window: how much larger an item is now than it was over all time.
    trend_ : ndarray of shape (n_items,), dtype float64
        ``recent * rise**tilt``; 0 for items not touched recently.
    """

    sales_: NDArray[np.int64]
    has_sales_: bool
    rise_: NDArray[np.float64]
    trend_: NDArray[np.float64]

    def __init__(
        self,
        *,
        half_life_days: float = 60.0,
        window_days: int = 14,
        tilt: float = 0.75,
        floor: float = 1e-5,
        sale_weight: int = 5,
    ) -> None:
        if half_life_days <= 0 or window_days < 1:
            raise ValueError("half_life_days and window_days must be positive")
        self.half_life_days = half_life_days
        self.window_days = window_days
        self.tilt = tilt
        self.floor = floor
        self.sale_weight = sale_weight

    def fit(self, log: Log | Events) -> Self:
        age = days_old(log.ts_ms)
        fresh = freshness(age, half_life_days=self.half_life_days)
        sale = log.weight >= self.sale_weight
        self.has_sales_ = bool(sale.any())
        if self.has_sales_:
            self.sales_ = count(log.item[sale], fresh[sale], log.n_items)
        else:
            self.sales_ = count(log.item, fresh * log.weight, log.n_items)
        recently = age < self.window_days
        recent = count(log.item[recently], log.weight[recently].astype(np.int64), log.n_items)
        ever = count(log.item, log.weight.astype(np.int64), log.n_items)
        recent_share = recent / max(int(recent.sum()), 1)
        share = ever / max(int(ever.sum()), 1)
        self.rise_ = (recent_share + self.floor) / (share + self.floor)
        self.trend_ = recent * self.rise_**self.tilt
        return self


def days_old(ts_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole days before the newest of them."""
    found: NDArray[np.int64] = (int(ts_ms.max(initial=0)) - ts_ms) // DAY_MS
    return found


def freshness(age_days: NDArray[np.int64], *, half_life_days: float) -> NDArray[np.int64]:
    """What events of that age still count, in `UNIT`s."""
    return np.rint(UNIT * 0.5 ** (age_days / half_life_days)).astype(np.int64)


def count(items: NDArray[np.int32], weights: NDArray[np.int64], n_items: int) -> NDArray[np.int64]:
    """Exact integer sums per item."""
    sums = np.zeros(n_items, np.int64)
    np.add.at(sums, items, weights)
    return sums


def best_first(scores: Scores) -> NDArray[np.int32]:
    """Items with a score above 0, best first; ties go to the smaller number."""
    found = np.flatnonzero(scores > 0)
    return found[np.lexsort((found, -scores[found]))].astype(np.int32)
