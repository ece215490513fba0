"""Sources: each has its own idea of what fits a history, and scores every item by it.

A source is made with its constants, learns from a log by `fit`, and keeps what it learned in
attributes that end in an underscore. `score` gives a dense block; callers ask in blocks.
"""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.histories import Histories
from recommendations.algorithms.log import Log

Scores = NDArray[np.float32]


class Source(Protocol):
    """One idea of what fits whom."""

    def fit(self, log: Log) -> Self: ...

    def score(self, asked: Histories) -> Scores:
        """Scores of shape (n_asked, n_items), at least 0; 0 is no opinion."""
        ...


class Boost:
    """A source of factors around 1: a blend is multiplied by them, to the power of the weight."""
