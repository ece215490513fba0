"""Items that the same profiles met, read with a history."""

from dataclasses import dataclass, field
from typing import Self

from scipy.sparse import csr_matrix

from recommendations.algorithms.correlation import SimilarItems
from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.lists import Lists
from recommendations.algorithms.log import Log, matrix
from recommendations.algorithms.sources import Scores


@dataclass(kw_only=True, eq=False)
class Together:
    """The *similar* reading, with lists long enough to score by.

    Parameters
    ----------
    source, target, damping
        As in `correlation.SimilarItems`.
    fading : float
        Of the history, per step back; 1 is "whole history alike".
    half_life_days : float, optional
        Of the history, by the clock.
    top : int, unit: neighbours per item
        Showing needs 20; scoring by 20 loses a seventh of the accuracy, by 1,000 nothing.
    cap : int, unit: items per profile
        The newest are learned from.

    Attributes
    ----------
    strength_ : csr_matrix of shape (n_items, n_items), dtype float32
    """

    source: float = 0.5
    target: float = 0.5
    damping: float = 0.5
    fading: float = 1.0
    half_life_days: float | None = None
    top: int = 1_000
    cap: int = 500
    strength_: csr_matrix = field(init=False, repr=False)

    def fit(self, log: Log) -> Self:
        similar = SimilarItems(
            source=self.source,
            target=self.target,
            damping=self.damping,
            top=min(self.top, max(log.n_items, 1)),
        )
        similar.fit(matrix(log, cap=self.cap))
        self.strength_ = Lists(similar.neighbours_, similar.scores_).as_matrix()
        return self

    def score(self, asked: Histories) -> Scores:
        history = recency(asked, fading=self.fading, half_life_days=self.half_life_days)
        found: Scores = (history @ self.strength_).toarray()
        return found
