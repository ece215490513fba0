"""The smooth part of who met what: the leading directions of the normalised interactions."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log, matrix
from recommendations.algorithms.sources import Scores

ROUNDS = 5  # of multiplying by the matrix and its transpose
MORE = 10  # directions that are followed beside those wanted: the last ones settle late
AT_ONCE = 64  # directions that are multiplied at a time


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
        self.directions_ = leading(even.tocsr(), rank=rank, rng=np.random.default_rng(self.seed))
        return self

    def score(self, asked: Histories) -> Scores:
        history = (recency(asked) @ diags_array(self.inverse_root())).tocsr()
        found: Scores = (history @ self.directions_.T) @ self.directions_ * self.root_
        return np.maximum(found, 0, out=found)

    def inverse_root(self) -> NDArray[np.float32]:
        """``1 / sqrt(n)``; 0 for items that nobody met."""
        return np.where(self.root_ > 0, 1 / np.maximum(self.root_, 1), 0).astype(np.float32)


def leading(matrix: csr_matrix, *, rank: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """The leading right singular vectors, by subspace iteration on the side of the columns.

    A library's decomposition keeps both sides orthogonal. Profiles are many times more than
    items, and nobody asks for their side: leaving it alone takes a third of the time.

    Parameters
    ----------
    matrix : csr_matrix of shape (n_profiles, n_items), dtype float32
    rank : int, below both sizes

    Returns
    -------
    ndarray of shape (rank, n_items), dtype float32
        Orthonormal rows, the leading one first.

    Source: Halko, Martinsson & Tropp (2011), "Finding Structure with Randomness", algorithm 4.4.
    """
    n_profiles, n_items = matrix.shape
    size = min(rank + MORE, n_profiles, n_items)
    transpose = matrix.T.tocsr()
    found = rng.standard_normal((n_items, size)).astype(np.float32)
    for _ in range(ROUNDS):
        found = np.linalg.qr(squared(matrix, transpose, found))[0]
    inside = found.T @ squared(matrix, transpose, found)  # symmetric but for rounding
    _, turned = np.linalg.eigh((inside + inside.T).astype(np.float64))
    directions = found @ turned[:, : -rank - 1 : -1].astype(np.float32)
    return np.ascontiguousarray(directions.T)


def squared(
    matrix: csr_matrix, transpose: csr_matrix, right: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``matrix' matrix right``, some columns at a time: profiles × all of them would be large."""
    parts = [
        transpose @ (matrix @ np.ascontiguousarray(right[:, first : first + AT_ONCE]))
        for first in range(0, right.shape[1], AT_ONCE)
    ]
    found: NDArray[np.float32] = np.hstack(parts)
    return found
