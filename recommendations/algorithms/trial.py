"""A question with a known answer: what a model is measured by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import Histories
from recommendations.algorithms.log import Log


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Who is asked about what, after learning from what.

    Attributes
    ----------
    train : Log
        All that may be learned from.
    asked : Histories
    targets : csr_matrix of shape (n_asked, n_items), dtype bool
        What each met afterwards; no row is empty.
    hidden : csr_matrix of shape (n_asked, n_items), dtype bool, or None
        What must not be shown, such as the history itself. None: everything may be.
    """

    train: Log
    asked: Histories
    targets: csr_matrix
    hidden: csr_matrix | None

    def __len__(self) -> int:
        return len(self.asked)

    def sample(self, size: int, *, rng: np.random.Generator) -> "Trial":
        """So many of the questions, or all; the same for the same generator."""
        if size >= len(self):
            return self
        questions = np.sort(rng.choice(len(self), size, replace=False))
        return Trial(
            self.train,
            self.asked.chosen(questions),
            self.targets[questions],
            None if self.hidden is None else self.hidden[questions],
        )

    def wanted(self) -> list[NDArray[np.int32]]:
        """The targets, as `quality.measure` takes them."""
        return np.split(self.targets.indices.astype(np.int32), self.targets.indptr[1:-1])


def marked(question: NDArray[Any], item: NDArray[Any], *, shape: tuple[int, int]) -> csr_matrix:
    """True at the given places."""
    found = csr_matrix((np.ones(item.size, np.bool_), (question, item)), shape=shape)
    found.sum_duplicates()
    found.sort_indices()
    return found
