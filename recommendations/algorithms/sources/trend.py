"""Which items are on the rise, and which are over."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.histories import DAY_MS, Histories
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources import Boost, Scores


class Trend(Boost):
    """The share of an item of late over its share ever; 1 is as usual.

    ``rise(j) = (n_late(j) + shrink) / (n_late * n(j) / n + shrink)``

    Parameters
    ----------
    days : float
        What is of late, by the clock of the log.
    shrink : float, unit: events
        So many events as usual are added, or a rare item would rise with every sale.

    Attributes
    ----------
    rise_ : ndarray of shape (n_items,), dtype float32, above 0

    Shrunk to 1 as the mean of a gamma-Poisson posterior is.
    """

    rise_: NDArray[np.float32]

    def __init__(self, *, days: float = 14.0, shrink: float = 5.0) -> None:
        self.days = days
        self.shrink = shrink

    def fit(self, log: Log) -> Self:
        late = log.ts_ms > log.ts_ms.max(initial=0) - self.days * DAY_MS
        recent = np.bincount(log.item[late], minlength=log.n_items)
        ever = np.bincount(log.item, minlength=log.n_items)
        usual = ever * (recent.sum() / max(len(log), 1))
        self.rise_ = ((recent + self.shrink) / (usual + self.shrink)).astype(np.float32)
        return self

    def score(self, asked: Histories) -> Scores:
        return np.tile(self.rise_, (len(asked), 1))
