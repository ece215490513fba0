"""From dense scores to lists: the best items of each row."""

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NOTHING

LONGEST_STRETCH = 64  # items


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
