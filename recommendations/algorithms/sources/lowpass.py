"""The smooth part of who met what: the leading directions of the normalised interactions."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array
from sklearn.utils.extmath import randomized_svd

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log, matrix
from recommendations.algorithms.sources import Scores


class LowPass:
    """``(h / sqrt(n)) V V' sqrt(n)`` with V the leading right singular vectors.

    Parameters
    ----------
    rank : int
    seed : int
        Of the random start of the decomposition.
    cap : int, unit: items per profile

    Attributes
    ----------
    directions_ : ndarray of shape (rank, n_items), dtype float32
    root_ : ndarray of shape (n_items,), dtype float32

    Sources: Shen et al. (2021), "How Powerful is Graph Convolution for Recommendation?" (GF-CF);
    Halko, Martinsson & Tropp (2011) for the decomposition.
    """

    directions_: NDArray[np.float32]
    root_: NDArray[np.float32]

    def __init__(self, *, rank: int = 256, seed: int = 0, cap: int = 1_000) -> None:
        self.rank = rank
        self.seed = seed
        self.cap = cap

    def fit(self, log: Log) -> Self:
        met = matrix(log, cap=self.cap).astype(np.float32)
        degree = np.maximum(np.diff(met.indptr), 1) ** -0.5
        self.root_ = np.sqrt(np.asarray(met.sum(axis=0)).ravel()).astype(np.float32)
        even = diags_array(degree.astype(np.float32)) @ met @ diags_array(self.inverse_root())
        rank = min(self.rank, *(size - 1 for size in even.shape))
        if rank < 1:
            self.directions_ = np.zeros((0, log.n_items), np.float32)
            return self
        _, _, directions = randomized_svd(
            even.tocsr(), n_components=rank, n_iter=4, random_state=self.seed
        )
        self.directions_ = directions.astype(np.float32)
        return self

    def score(self, asked: Histories) -> Scores:
        history = (recency(asked) @ diags_array(self.inverse_root())).tocsr()
        found: Scores = (history @ self.directions_.T) @ self.directions_ * self.root_
        return np.maximum(found, 0, out=found)

    def inverse_root(self) -> NDArray[np.float32]:
        """``1 / sqrt(n)``; 0 for items that nobody met."""
        return np.where(self.root_ > 0, 1 / np.maximum(self.root_, 1), 0).astype(np.float32)
