"""Item-to-item correlation: two readings of what profiles did, the best neighbours kept.

Both count in integers, so neither the order of additions nor the number of threads changes a bit;
only the last step, the tilted powers of how often items occur, is in floating point.

Sources: Sarwar et al. (2001), "Item-based collaborative filtering"; Breese et al. (1998) for the
inverse user frequency; Christoffel et al. (2015) for the tilted powers of RP3beta.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.correlation_in_numpy import (
    Floats,
    Rows,
    cut,
    next_rows_in_numpy,
    similar_rows_in_numpy,
)
from recommendations.algorithms.log import Log

UNIT = 1 << 12  # integers stand for fractions of this
INT32_MAX = (1 << 31) - 1
NOTHING = -1  # pads a row with fewer neighbours than it has places


@cache
def find_kernels() -> Any | None:
    """The compiled loops, or None where numba is missing."""
    try:
        from recommendations.algorithms import kernels
    except ImportError:
        return None
    return kernels


@dataclass(kw_only=True, eq=False)
class ItemCorrelation:
    """What the two readings share: the best neighbours of each item, best first.

    Parameters
    ----------
    source, target : float
        The powers of how often the item and its neighbour occur that a sum is divided by; a
        smaller target lets well-known items rank higher.
    shrink : float, in the unit of the occurrences
        Added to each occurrence, so that one shared profile makes no perfect pair.
    top : int, unit: neighbours per item
    threads : int
    use_numba : bool
        False takes the numpy twin, which gives the same bits.

    Attributes
    ----------
    neighbours_ : ndarray of shape (n_items, top), dtype int32
        Padded with -1. Ties go to the item with the smaller number.
    scores_ : ndarray of shape (n_items, top), dtype float32
        Padded with 0.
    occurrences_ : ndarray of shape (n_items,), dtype int64

    Of a fit of some rows the first two have only these, in their order.
    """

    source: float
    target: float
    shrink: float = 0.0
    top: int = 100
    threads: int = 1
    use_numba: bool = True
    neighbours_: NDArray[np.int32] = field(init=False, repr=False)
    scores_: NDArray[np.float32] = field(init=False, repr=False)
    occurrences_: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.top < 1 or self.threads < 1:
            raise ValueError("top and threads must be at least 1")

    def _choose(
        self,
        found: NDArray[np.int64],
        rows: NDArray[np.int64] | None,
        elsewhere: NDArray[np.int64] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Whose rows are made, and how often all items occur."""
        chosen = np.arange(found.size) if rows is None else rows
        # An item whose own row waits may be new, and what is met here shows it.
        self.occurrences_ = found if elsewhere is None else np.maximum(found, elsewhere)
        self.occurrences_[chosen] = found[chosen]
        return chosen, self.occurrences_

    def _tilt(self, occurrences: NDArray[Any]) -> tuple[Floats, Floats]:
        """What columns and rows of raw sums are multiplied by to be scores; 0 for unseen items."""
        seen = occurrences > 0
        base = np.where(seen, occurrences + self.shrink, 1.0)
        column = np.where(seen, base**-self.target, 0.0)
        row = np.where(seen, base**-self.source, 0.0) / UNIT
        return column, row

    def _fill(self, work: NDArray[np.int64], rows: Rows) -> None:
        """Compute the chosen rows, cut into parts of equal work, one part per thread at a time."""
        self.neighbours_ = np.full((work.size, self.top), NOTHING, np.int32)
        self.scores_ = np.zeros((work.size, self.top), np.float32)
        parts = cut(work, parts=1 if self.threads == 1 else 8 * self.threads)
        with ThreadPoolExecutor(self.threads) as pool:
            filled = pool.map(lambda p: rows(p[0], p[1], self.neighbours_, self.scores_), parts)
            list(filled)  # raises what a thread raised


@dataclass(kw_only=True, eq=False)
class SimilarItems(ItemCorrelation):
    """Symmetric: met together by the same profiles.

    ``S[i, j] = sum_u x_ui x_uj d_u**-damping / ((n_i + shrink)**source * (n_j + shrink)**target)``
    with ``d_u`` the number of items of the profile, ``n_i`` the sum of ``x_ui**2`` over profiles.

    Parameters
    ----------
    damping : float
        The inverse user frequency: who touches everything says little about anything.
    source, target, shrink, top, threads, use_numba
        As in `ItemCorrelation`; occurrences are squares of weights.
    """

    source: float = 0.5
    target: float = 0.5
    damping: float = 0.5

    def fit(
        self,
        interactions: csr_matrix,
        *,
        rows: NDArray[np.int64] | None = None,
        elsewhere: NDArray[np.int64] | None = None,
    ) -> Self:
        """Learn from a matrix.

        Parameters
        ----------
        interactions : csr_matrix of shape (n_profiles, n_items), integers > 0, indices sorted
            Cap the profiles first: the cost is the sum over profiles of their items squared.
        rows : ndarray of shape (n_rows,), dtype int64, optional
            Only the lists of these items. All profiles that met one of them must be there.
        elsewhere : ndarray of shape (n_items,), dtype int64, optional
            How often the other items occur, the profiles that are not there included.

        Raises
        ------
        ValueError
            If the values are not integers.
        """
        if not np.issubdtype(interactions.dtype, np.integer):
            raise ValueError("interactions must be integers: sums must be exact")
        degree = np.diff(interactions.indptr).astype(np.int64)
        scale = np.rint(UNIT * np.maximum(degree, 1) ** -self.damping).astype(np.int64)
        scale = np.maximum(scale, 1)
        plain = bool((interactions.data == 1).all())
        x = with_values(interactions, interactions.data.astype(np.int8 if plain else np.int64))
        by_item = x.tocsc()
        found = np.asarray(x.multiply(x).sum(axis=0, dtype=np.int64)).ravel()
        chosen, occurrences = self._choose(found, rows, elsewhere)
        column, row = self._tilt(occurrences)
        work = spread(by_item, degree)[chosen]
        kernels = find_kernels() if self.use_numba else None
        if kernels is None:
            self._fill(work, similar_rows_in_numpy(x, by_item, scale, column, row, chosen, work))
        else:
            # No sum of products exceeds the larger of the two sums of squares.
            fits = int(occurrences.max(initial=0)) * int(scale.max(initial=1)) <= INT32_MAX
            args = (
                chosen,
                by_item.indptr.astype(np.int64),
                unsigned(by_item.indices),
                None if plain else by_item.data,
                x.indptr.astype(np.int64),
                unsigned(x.indices),
                None if plain else x.data,
                scale.astype(np.int32 if fits else np.int64),
                column,
                row,
            )
            self._fill(work, lambda a, b, *out: kernels.similar_rows(a, b, *args, *out))
        return self


@dataclass(kw_only=True, eq=False)
class NextItems(ItemCorrelation):
    """Directed: what comes soon after.

    Each step adds ``decay**(distance - 1)`` to the pair (earlier, later) for distances up to the
    window, and ``backward`` times that to the pair (later, earlier). The sums are divided by
    ``(n_i + shrink)**source * (n_j + shrink)**target``; ``n`` is the number of steps at an item.

    Parameters
    ----------
    window : int, unit: steps
    decay : float
    backward : float
    source, target, shrink, top, threads, use_numba
        As in `ItemCorrelation`; occurrences are steps.
    """

    window: int = 10
    decay: float = 0.9
    backward: float = 0.3
    source: float = 0.7
    target: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1:
            raise ValueError("window must be at least 1 step")

    def fit(
        self,
        steps: Log,
        *,
        rows: NDArray[np.int64] | None = None,
        elsewhere: NDArray[np.int64] | None = None,
    ) -> Self:
        """Learn from sequences, in the order of the log; weights are not used.

        `rows` and `elsewhere` as in `SimilarItems.fit`.
        """
        fading = self.decay ** np.arange(self.window)
        ahead, behind = whole(UNIT * fading), whole(UNIT * self.backward * fading)
        found = np.bincount(steps.item, minlength=steps.n_items).astype(np.int64)
        chosen, occurrences = self._choose(found, rows, elsewhere)
        column, row = self._tilt(occurrences)
        start = np.append(0, np.cumsum(found))
        positions = np.argsort(steps.item, kind="stable")
        kernels = find_kernels() if self.use_numba else None
        if kernels is None:
            twin = next_rows_in_numpy(steps, start, positions, ahead, behind, column, row, chosen)
            self._fill(found[chosen], twin)
        else:
            args = (
                chosen, start, positions, steps.profile, steps.item, ahead, behind, column, row,
            )  # fmt: skip
            self._fill(found[chosen], lambda a, b, *out: kernels.next_rows(a, b, *args, *out))
        return self


def whole(shares: NDArray[Any]) -> NDArray[np.int64]:
    """As integers, up to the first that rounds to 0: the kernel takes every addition as one."""
    rounded: NDArray[np.int64] = np.rint(shares).astype(np.int64)
    zeros = np.flatnonzero(rounded <= 0)
    return rounded[: zeros[0] if zeros.size else None]


def spread(by_item: Any, degree: NDArray[Any]) -> NDArray[np.int64]:
    """Pair additions that each item's row costs."""
    once = with_values(by_item, np.ones(by_item.nnz, np.int8))
    work: NDArray[np.int64] = once.T @ degree
    return work


def with_values(pairs: Any, values: NDArray[Any]) -> Any:
    """Other values at the same places, which are shared."""
    return type(pairs)((values, pairs.indices, pairs.indptr), shape=pairs.shape)


def unsigned(indices: NDArray[Any]) -> NDArray[np.uint32]:
    return indices.astype(np.int32, copy=False).view(np.uint32)
