"""What everybody met: the same for all, ever or of late."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.histories import DAY_MS, Histories
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources import Scores


class Popular:
    """Occurrences, those of late counting more.

    Parameters
    ----------
    half_life_days : float, optional
        By the clock of the log.
    half_life_steps : float, optional
        For logs without a clock: by the steps between an event and the newest of its profile.
    least_weight : int
        Only events that say so much count, such as purchases.

    Attributes
    ----------
    count_ : ndarray of shape (n_items,), dtype float32
    """

    count_: NDArray[np.float32]

    def __init__(
        self,
        *,
        half_life_days: float | None = None,
        half_life_steps: float | None = None,
        least_weight: int = 1,
    ) -> None:
        self.least_weight = least_weight
        self.half_life_days = half_life_days
        self.half_life_steps = half_life_steps

    def fit(self, log: Log) -> Self:
        weight = (log.weight >= self.least_weight).astype(np.float64)
        if self.half_life_days is not None:
            age_days = (log.ts_ms.max(initial=0) - log.ts_ms) / DAY_MS
            weight *= 0.5 ** (age_days / self.half_life_days)
        if self.half_life_steps is not None:
            steps = log.bounds()[1:][log.profile] - 1 - np.arange(len(log))
            weight *= 0.5 ** (steps / self.half_life_steps)
        count = np.bincount(log.item, weights=weight, minlength=log.n_items)
        self.count_ = count.astype(np.float32)
        return self

    def score(self, asked: Histories) -> Scores:
        return np.tile(self.count_, (len(asked), 1))
