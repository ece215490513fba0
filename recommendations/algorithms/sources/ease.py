"""EASE: the best linear map from a history to itself that may not use the diagonal."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log, matrix
from recommendations.algorithms.sources import Scores
from recommendations.algorithms.sources.inverse import inverted


class Ease:
    """Closed form; memory is two dense float32 matrices of n_items squared.

    Parameters
    ----------
    penalty : float
        Of the ridge; the larger, the closer to plain popularity.
    fading : float
        Of the history when it is asked, per step back.
    half_life_days : float, optional
        Of the history when it is asked, by the clock.
    cap : int, unit: items per profile

    Attributes
    ----------
    weights_ : ndarray of shape (n_items, n_items), dtype float32, zero diagonal

    Source: Steck (2019), "Embarrassingly Shallow Autoencoders for Sparse Data".
    """

    weights_: NDArray[np.float32]

    def __init__(
        self,
        *,
        penalty: float = 300.0,
        fading: float = 1.0,
        half_life_days: float | None = None,
        cap: int = 1_000,
    ) -> None:
        self.penalty = penalty
        self.fading = fading
        self.half_life_days = half_life_days
        self.cap = cap

    def fit(self, log: Log) -> Self:
        met = matrix(log, cap=self.cap).astype(np.float32)
        inverse = inverted((met.T @ met).toarray(), penalty=self.penalty)
        inverse /= -np.diag(inverse).copy()
        np.fill_diagonal(inverse, 0)
        self.weights_ = inverse
        return self

    def score(self, asked: Histories) -> Scores:
        history = recency(asked, fading=self.fading, half_life_days=self.half_life_days)
        found: Scores = history @ self.weights_
        return np.maximum(found, 0, out=found)
