"""What somebody would rate an item: deviations of people and items, and their common factors."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Ratings:
    """Regularised deviations, then alternating least squares on what they leave.

    Parameters
    ----------
    rank : int
        Factors; 0 is deviations alone.
    penalty : float, unit: ratings
        Of the factors, for each rating of a profile or an item.
    damping : float, unit: ratings
        So many ratings of the mean are added to those of each profile and item.
    rounds : int
        Of the alternation, for deviations and factors alike.
    seed : int
        Of the first factors.

    Attributes
    ----------
    mean_, low_, high_ : float
    of_profile_ : ndarray of shape (n_profiles,)
    of_item_ : ndarray of shape (n_items,)
    profile_factors_ : ndarray of shape (n_profiles, rank)
    item_factors_ : ndarray of shape (n_items, rank)

    Sources: Koren (2008), "Factorization Meets the Neighborhood", for the deviations; Zhou et al.
    (2008), "Large-Scale Parallel Collaborative Filtering for the Netflix Prize", for the penalty
    that grows with the number of ratings.
    """

    mean_: float
    low_: float
    high_: float
    of_profile_: Floats
    of_item_: Floats
    profile_factors_: Floats
    item_factors_: Floats

    def __init__(
        self,
        *,
        rank: int = 16,
        penalty: float = 0.1,
        damping: float = 5.0,
        rounds: int = 12,
        seed: int = 0,
    ) -> None:
        self.rank = rank
        self.penalty = penalty
        self.damping = damping
        self.rounds = rounds
        self.seed = seed

    def fit(self, ratings: csr_matrix) -> Self:
        """Learn from a matrix of shape (n_profiles, n_items); what is not stored is not rated.

        Raises
        ------
        ValueError
            If there is no rating.
        """
        if not ratings.nnz:
            raise ValueError("there is no rating to learn from")
        by_profile, by_item = ratings.tocsr(), ratings.T.tocsr()
        self.low_, self.high_ = float(ratings.data.min()), float(ratings.data.max())
        self.mean_ = float(ratings.data.mean())
        self.of_profile_, self.of_item_ = (np.zeros(size) for size in ratings.shape)
        for _ in range(self.rounds):
            self.of_item_ = self._deviations(by_item, self.of_profile_)
            self.of_profile_ = self._deviations(by_profile, self.of_item_)
        rest = self._rest(by_profile, self.of_profile_, self.of_item_)
        turned = self._rest(by_item, self.of_item_, self.of_profile_)
        rng = np.random.default_rng(self.seed)
        self.profile_factors_ = np.zeros((ratings.shape[0], self.rank))
        self.item_factors_ = rng.normal(0, 0.1, (ratings.shape[1], self.rank))
        for _ in range(self.rounds if self.rank else 0):
            self.profile_factors_ = self._solved(rest, self.item_factors_)
            self.item_factors_ = self._solved(turned, self.profile_factors_)
        return self

    def predict(self, profile: Ints, item: Ints) -> Floats:
        """Ratings inside the range that was seen; -1 is somebody or something unknown."""
        p, i = np.maximum(profile, 0), np.maximum(item, 0)
        deviation = np.where(profile >= 0, self.of_profile_[p], 0)
        deviation += np.where(item >= 0, self.of_item_[i], 0)
        common = (self.profile_factors_[p] * self.item_factors_[i]).sum(axis=1)
        common[(profile < 0) | (item < 0)] = 0
        found: Floats = self.mean_ + deviation + common
        return np.clip(found, self.low_, self.high_)

    def _deviations(self, rows: csr_matrix, of_columns: Floats) -> Floats:
        """How much each row lies above the mean, apart from its columns."""
        left = rows.data - self.mean_ - of_columns[rows.indices]
        size = np.diff(rows.indptr)
        row = np.repeat(np.arange(size.size), size)
        sums = np.bincount(row, weights=left, minlength=size.size).astype(np.float64)
        return np.asarray(sums / (size + self.damping))

    def _rest(self, rows: csr_matrix, of_rows: Floats, of_columns: Floats) -> csr_matrix:
        size = np.diff(rows.indptr)
        expected = self.mean_ + np.repeat(of_rows, size) + of_columns[rows.indices]
        return csr_matrix((rows.data - expected, rows.indices, rows.indptr), shape=rows.shape)

    def _solved(self, rows: csr_matrix, of_columns: Floats) -> Floats:
        """The factors of each row, given those of the columns."""
        found = np.zeros((rows.shape[0], self.rank))
        for row in np.flatnonzero(np.diff(rows.indptr)):
            stored = slice(rows.indptr[row], rows.indptr[row + 1])
            features = of_columns[rows.indices[stored]]
            gram = features.T @ features
            gram[np.diag_indices(self.rank)] += self.penalty * len(features)
            found[row] = np.linalg.solve(gram, features.T @ rows.data[stored])
        return found
