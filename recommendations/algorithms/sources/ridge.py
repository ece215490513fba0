"""Next-item ridge: the best linear map from a fading history to the item that came next."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log, newest, sequences
from recommendations.algorithms.sources import Scores
from recommendations.algorithms.sources.inverse import inverted

AT_ONCE = 512  # columns of the inverse: so many stay in the processor's cache


class NextRidge:
    """Closed form: every step of every profile is an example.

    The features of a step are the items before it, fading with the distance and of length 1; with
    `two_blocks` the last item stands in a block of its own, before what came before it.

    Parameters
    ----------
    penalty : float
    fading : float
        Per step back.
    two_blocks : bool, default False
        Twice the features, so four times the memory.
    cap : int, unit: steps per profile

    Attributes
    ----------
    weights_ : ndarray of shape (n_features, n_items), dtype float32

    Source: Choi et al. (2021), "Session-aware Linear Item-Item Models" (SLIST), whose SLIT this is
    with an l2-normalised history.
    """

    weights_: NDArray[np.float32]

    def __init__(
        self,
        *,
        penalty: float = 60.0,
        fading: float = 0.8,
        two_blocks: bool = False,
        cap: int = 1_000,
    ) -> None:
        self.penalty = penalty
        self.fading = fading
        self.two_blocks = two_blocks
        self.cap = cap

    def fit(self, log: Log) -> Self:
        path = newest(sequences(log, cap=self.cap), cap=self.cap)
        features, target = self._examples(path)
        once = csr_matrix(
            (np.ones(target.size, np.float32), (np.arange(target.size), target)),
            shape=(target.size, path.n_items),
        )
        inverse = inverted((features.T @ features).toarray(), penalty=self.penalty)
        # The right side is sparse: multiplying by it costs far less than solving for it.
        right = (once.T @ features).tocsr()
        self.weights_ = np.empty((len(inverse), path.n_items), np.float32)
        for first in range(0, len(inverse), AT_ONCE):
            last = first + AT_ONCE
            self.weights_[first:last] = (right @ np.ascontiguousarray(inverse[:, first:last])).T
        return self

    def score(self, asked: Histories) -> Scores:
        fading = recency(asked, fading=self.fading)
        if self.two_blocks:
            last = recency(asked, cap=1)
            fading = hstack([last, normalised(fading - fading.multiply(last))], format="csr")
        else:
            fading = normalised(fading)
        found: Scores = fading @ self.weights_
        return np.maximum(found, 0, out=found)

    def _examples(self, path: Log) -> tuple[csr_matrix, NDArray[np.int32]]:
        """What was before each step but the first, and the step itself."""
        has_before = np.zeros(len(path), bool)
        has_before[1:] = path.profile[1:] == path.profile[:-1]
        rows = np.cumsum(has_before) - 1
        reach = reach_of(self.fading)
        first = 2 if self.two_blocks else 1
        parts = []
        for distance in range(first, reach + 1):
            same = np.zeros(len(path), bool)
            same[distance:] = path.profile[distance:] == path.profile[:-distance]
            at = np.flatnonzero(same)
            parts.append((rows[at], path.item[at - distance], self.fading ** (distance - first)))
        shape = (int(has_before.sum()), path.n_items)
        before = normalised(assembled(parts, shape))
        target = path.item[has_before]
        if not self.two_blocks:
            return before, target
        at = np.flatnonzero(has_before)
        last = assembled([(rows[at], path.item[at - 1], 1.0)], shape)
        return hstack([last, before], format="csr"), target


def reach_of(fading: float) -> int:
    """How many steps back still weigh a hundredth."""
    return int(np.ceil(np.log(0.01) / np.log(fading)))


def assembled(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int32], float]], shape: tuple[int, int]
) -> csr_matrix:
    rows = np.concatenate([rows for rows, _, _ in parts])
    items = np.concatenate([items for _, items, _ in parts])
    worth = np.concatenate([np.full(rows.size, weight, np.float32) for rows, _, weight in parts])
    return csr_matrix((worth, (rows, items)), shape=shape)


def normalised(rows: csr_matrix) -> csr_matrix:
    """Each row divided by its length."""
    found = csr_matrix(rows, dtype=np.float32)
    length = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    found.data /= np.repeat(np.where(length > 0, length, 1), np.diff(found.indptr))
    return found
