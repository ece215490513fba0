"""Lists of the best items: what they are, and how dense scores become them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.correlation import NOTHING

LONGEST_STRETCH = 64  # items
BLOCK = 512  # rows of dense scores at a time


class Lists(NamedTuple):
    """The best neighbours of each item, best first.

    Attributes
    ----------
    neighbours : ndarray of shape (n_items, top), dtype int32
        Padded with -1.
    scores : ndarray of shape (n_items, top), dtype float32
        Above 0, padded with 0.
    """

    neighbours: NDArray[np.int32]
    scores: NDArray[np.float32]

    def renumbered(self, items: NDArray[Any], *, n_items: int) -> "Lists":
        """The same lists where item `k` of them is ``items[k]`` of `n_items`; others get none."""
        moved = np.append(items, NOTHING).astype(np.int32)[self.neighbours]
        neighbours = np.full((n_items, self.neighbours.shape[1]), NOTHING, np.int32)
        scores = np.zeros(neighbours.shape, np.float32)
        neighbours[items], scores[items] = moved, self.scores
        return Lists(neighbours, scores)

    def as_matrix(self) -> csr_matrix:
        """Item by neighbour; shape (n_items, n_items), dtype float32."""
        item, place = np.nonzero(self.neighbours != NOTHING)
        values = self.scores[item, place]
        shape = (len(self.neighbours), len(self.neighbours))
        return csr_matrix((values, (item, self.neighbours[item, place])), shape=shape)


def lists_of_dense(
    block: Callable[[int, int], NDArray[np.float32]], *, n_items: int, top: int
) -> Lists:
    """The best of each row of a dense matrix that `block(first, last)` gives by rows."""
    found = Lists(np.full((n_items, top), NOTHING, np.int32), np.zeros((n_items, top), np.float32))
    for first in range(0, n_items, BLOCK):
        last = min(first + BLOCK, n_items)
        scores = block(first, last)
        best = best_items(scores, n=top)
        found.neighbours[first:last] = best
        there = np.take_along_axis(scores, np.maximum(best, 0), 1)
        found.scores[first:last] = np.where(best == NOTHING, 0, there)
    return found


def best_items(scores: NDArray[np.float32], *, n: int) -> NDArray[np.int32]:
    """The items with the highest scores above 0, ties to the smaller number.

    Parameters
    ----------
    scores : ndarray of shape (n_asked, n_items)
    n : int, unit: items per list

    Returns
    -------
    ndarray of shape (n_asked, n), dtype int32
        Best first, padded with -1.
    """
    asked, n_items = scores.shape
    lists = np.full((asked, n), NOTHING, np.int32)
    if not asked or not n_items:
        return lists
    least = reached_by(scores, n=n)[:, None]
    question, item = np.nonzero((scores >= least) & (scores > 0))
    order = np.lexsort((item, -scores[question, item], question))
    question, item = question[order], item[order]
    place = np.arange(question.size) - np.searchsorted(question, question)
    kept = place < n
    lists[question[kept], place[kept]] = item[kept]
    return lists


def reached_by(scores: NDArray[np.float32], *, n: int) -> NDArray[np.float32]:
    """A score that at least `n` items of each row reach, and not many more; 0 where items are few.

    It is the `n`-th of the maxima of short stretches of the row. To select among all scores costs
    ten times as much, and a hundred times where most are equal, as the zeros of a sparse row are.
    """
    asked, n_items = scores.shape
    if n >= n_items:
        return np.zeros(asked, scores.dtype)
    stretch = max(1, min(LONGEST_STRETCH, n_items // (8 * n)))
    maxima = np.maximum.reduceat(scores, np.arange(0, n_items, stretch), axis=1)
    place = maxima.shape[1] - n
    found: NDArray[np.float32] = np.partition(maxima, place, axis=1)[:, place]
    return found
