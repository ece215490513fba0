"""A source that is never at a loss for an answer."""

from typing import Self

import numpy as np

from recommendations.algorithms.histories import Histories
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources import Scores, Source
from recommendations.algorithms.sources.popular import Popular


class OrPopular:
    """What the source says; where it has nothing to say, what is popular.

    Parameters
    ----------
    source : Source

    Attributes
    ----------
    popular_ : Popular
    """

    popular_: Popular

    def __init__(self, source: Source) -> None:
        self.source = source

    def fit(self, log: Log) -> Self:
        self.source.fit(log)
        self.popular_ = Popular().fit(log)
        return self

    def score(self, asked: Histories) -> Scores:
        scores = self.source.score(asked)
        silent = np.flatnonzero(~scores.any(axis=1))
        scores[silent] = self.popular_.score(asked.chosen(silent))
        return scores
