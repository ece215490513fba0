"""What somebody had before, they may want again."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import DAY_MS, Histories
from recommendations.algorithms.log import Log, distinct
from recommendations.algorithms.sources import Scores

HALF_LIFE_DAYS = 60.0
POWER = 0.4


class Personal:
    """A person's own items by how often and how lately, and by how often people come back to them.

    ``score(u, j) = again_j**power * sum of 0.5**(age / half_life_days)`` over u's touches of j

    Parameters
    ----------
    half_life_days : float
        After so long a touch counts half.
    power : float
        Of the share of people who came back to an item; 0 treats all items alike.
    shrink : float, unit: profiles
        So many as usual are added to those of each item.

    Attributes
    ----------
    again_ : ndarray of shape (n_items,), dtype float32
        Of the profiles that met the item, the share that did on two days or more.

    Source: Bhagat et al. (2018), "Buy It Again", for the share.
    """

    again_: NDArray[np.float32]

    def __init__(
        self, *, half_life_days: float = HALF_LIFE_DAYS, power: float = POWER, shrink: float = 5.0
    ) -> None:
        self.half_life_days = half_life_days
        self.power = power
        self.shrink = shrink

    def fit(self, log: Log) -> Self:
        width = max(log.n_items, 1)
        pair = log.profile.astype(np.int64) * width + log.item
        day = log.ts_ms // DAY_MS
        first = int(day.min(initial=0))
        n_days = int(day.max(initial=0)) - first + 1
        met_on = distinct(pair * n_days + (day - first))
        pair, times = np.unique(met_on // n_days, return_counts=True)
        item = pair % width
        met = np.bincount(item, minlength=log.n_items)
        again = np.bincount(item[times > 1], minlength=log.n_items)
        usual = (again.sum() + 1) / (met.sum() + 1)  # above 0 even where nobody came back
        self.again_ = ((again + self.shrink * usual) / (met + self.shrink)).astype(np.float32)
        return self

    def score(self, asked: Histories) -> Scores:
        question = asked.question
        age_days = np.maximum(asked.now_ms[question] - asked.ts_ms, 0) / DAY_MS
        worth = 0.5 ** (age_days / self.half_life_days) * self.again_[asked.item] ** self.power
        shape = (len(asked), asked.n_items)
        found = csr_matrix((worth.astype(np.float32), (question, asked.item)), shape=shape)
        dense: Scores = found.toarray()
        return dense
