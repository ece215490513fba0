"""Items that come soon after those that come soon after: for what few have met together."""

from typing import Self

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log, sequences
from recommendations.algorithms.sources import Scores
from recommendations.algorithms.sources.following import count_pairs


class TwoSteps:
    """A walk of two steps over the pairs of `Following`.

    ``score(u, j) = sum_i h_ui (P P)_ij / n_j**target``, where ``P_ij`` is the share of j in all
    that comes within the window after i, or before it with the weight `backward`. It reaches items
    that never stood in one session with the history, and of the others prefers those that several
    ways lead to.

    Parameters
    ----------
    window, decay, backward, target, fading, steps, cap
        As in `Following`.
    widest : int, unit: items per item
        Only so many of the largest shares are walked along.

    Attributes
    ----------
    first_, second_ : csr_matrix of shape (n_items, n_items), dtype float32
        The two factors of the product, which itself is never written down.

    Source: Cooper et al. (2014), "Random Walks in Recommender Systems: Exact Computation and
    Simulations" (P3alpha), here with the order of the sessions.
    """

    first_: csr_matrix
    second_: csr_matrix

    def __init__(
        self,
        *,
        window: int = 10,
        decay: float = 0.8,
        backward: float = 0.7,
        target: float = 0.5,
        fading: float = 0.5,
        steps: int = 20,
        widest: int = 100,
        cap: int = 1_000,
    ) -> None:
        self.window = window
        self.decay = decay
        self.backward = backward
        self.target = target
        self.fading = fading
        self.steps = steps
        self.widest = widest
        self.cap = cap

    def fit(self, log: Log) -> Self:
        path = sequences(log, cap=self.cap)
        pairs = count_pairs(path, window=self.window, decay=self.decay)
        both = (pairs + self.backward * pairs.T).tocsr()
        total = np.asarray(both.sum(axis=1)).ravel()
        both.data /= np.repeat(np.where(total > 0, total, 1), np.diff(both.indptr))
        self.first_ = largest(both, n=self.widest).astype(np.float32)
        met = np.maximum(np.bincount(path.item, minlength=path.n_items), 1).astype(np.float64)
        self.second_ = (self.first_ @ diags_array(met**-self.target)).tocsr().astype(np.float32)
        return self

    def score(self, asked: Histories) -> Scores:
        history = recency(asked, fading=self.fading, cap=self.steps)
        found: Scores = (history @ self.first_ @ self.second_).toarray()
        return found


def largest(rows: csr_matrix, *, n: int) -> csr_matrix:
    """The `n` largest values of each row, ties to the smaller column."""
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    order = np.lexsort((rows.indices, -rows.data, row))
    place = np.arange(row.size) - rows.indptr[row]
    kept = np.sort(order[place < n])
    found = csr_matrix((rows.data[kept], (row[kept], rows.indices[kept])), shape=rows.shape)
    found.sort_indices()
    return found
