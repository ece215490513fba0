"""Items that come soon after one another, read with a history."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log, sequences
from recommendations.algorithms.sources import Scores


@dataclass(kw_only=True, eq=False)
class Following:
    """The *next* reading, every pair kept.

    Parameters
    ----------
    window, decay, backward, source, target
        As in `correlation.NextItems`; a window of 1 is plain transitions.
    fading : float
        Of the history, per step back.
    steps : int
        So many of the newest items of the history speak.
    cap : int, unit: steps per profile
        The newest are learned from.

    Attributes
    ----------
    strength_ : csr_matrix of shape (n_items, n_items), dtype float32
    """

    window: int = 10
    decay: float = 0.9
    backward: float = 0.3
    source: float = 0.7
    target: float = 0.3
    fading: float = 0.6
    steps: int = 20
    cap: int = 1_000
    strength_: csr_matrix = field(init=False, repr=False)

    def fit(self, log: Log) -> Self:
        path = sequences(log, cap=self.cap)
        occurrences = np.bincount(path.item, minlength=path.n_items)
        row, column = (tilted(occurrences, power) for power in (self.source, self.target))
        pairs = count_pairs(path, window=self.window, decay=self.decay)
        both = pairs + self.backward * pairs.T if self.backward else pairs
        self.strength_ = (diags_array(row) @ both @ diags_array(column)).tocsr()
        self.strength_.data = self.strength_.data.astype(np.float32)
        return self

    def score(self, asked: Histories) -> Scores:
        found: Scores = (
            recency(asked, fading=self.fading, cap=self.steps) @ self.strength_
        ).toarray()
        return found


def tilted(occurrences: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """``occurrences**-power``; 0 for unseen items."""
    return np.where(occurrences > 0, np.maximum(occurrences, 1.0) ** -power, 0.0)


def count_pairs(path: Log, *, window: int, decay: float) -> csr_matrix:
    """``decay**(distance - 1)`` summed over the pairs (earlier, later) in the window."""
    earlier, later, worth = [], [], []
    for distance in range(1, min(window, len(path) - 1) + 1):
        same = path.profile[:-distance] == path.profile[distance:]
        same &= path.item[:-distance] != path.item[distance:]
        earlier.append(path.item[:-distance][same])
        later.append(path.item[distance:][same])
        worth.append(np.full(int(same.sum()), decay ** (distance - 1)))
    shape = (path.n_items, path.n_items)
    if not earlier:
        return csr_matrix(shape, dtype=np.float64)
    places = (np.concatenate(earlier), np.concatenate(later))
    return csr_matrix((np.concatenate(worth), places), shape=shape)
