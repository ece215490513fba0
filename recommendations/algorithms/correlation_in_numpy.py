"""The rows of `correlation` in numpy and scipy: twins of the compiled loops, bit by bit."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.log import Log

BLOCK = 4_000_000  # pair additions in one block

Rows = Callable[[int, int, NDArray[np.int32], NDArray[np.float32]], None]
Floats = NDArray[np.float64]


def cut(work: NDArray[np.int64], *, parts: int) -> list[tuple[int, int]]:
    """Ranges of rows with about the same sum of work each."""
    total = np.append(0, np.cumsum(work))
    marks = np.searchsorted(total, np.linspace(0, total[-1], parts + 1)[1:-1])
    edges = [0, *(int(mark) for mark in marks), work.size]
    return [(a, b) for a, b in pairwise(edges) if a < b]


def similar_rows_in_numpy(
    interactions: csr_matrix,
    by_item: Any,
    scale: NDArray[np.int64],
    column: Floats,
    row: Floats,
    chosen: NDArray[np.int64],
    work: NDArray[np.int64],
) -> Rows:
    """Blocks of the sparse product, sized by work so that memory stays bounded."""
    weighted = interactions.copy()
    weighted.data = interactions.data.astype(np.int64) * np.repeat(
        scale, np.diff(interactions.indptr)
    )
    by_row = by_item.T.tocsr()

    def rows(
        first: int, last: int, neighbours: NDArray[np.int32], scores: NDArray[np.float32]
    ) -> None:
        parts = int(work[first:last].sum()) // BLOCK + 1
        for a, b in cut(work[first:last], parts=parts):
            sums = by_row[chosen[first + a : first + b]] @ weighted
            write_best(sums, first + a, column, row, chosen, neighbours, scores)

    return rows


def next_rows_in_numpy(
    steps: Log,
    start: NDArray[np.int64],
    positions: NDArray[np.int64],
    ahead: NDArray[np.int64],
    behind: NDArray[np.int64],
    column: Floats,
    row: Floats,
    chosen: NDArray[np.int64],
) -> Rows:
    """Blocks of rows, all pairs of a block and a distance at once; sized as those above."""
    shifts = [(d + 1, int(worth)) for d, worth in enumerate(ahead)]
    shifts += [(-d - 1, int(worth)) for d, worth in enumerate(behind)]
    counts = np.diff(start)[chosen]

    def rows(
        first: int, last: int, neighbours: NDArray[np.int32], scores: NDArray[np.float32]
    ) -> None:
        parts = int(counts[first:last].sum()) * len(shifts) // BLOCK + 1
        for a, b in cut(counts[first:last], parts=parts):
            sums = add_steps(slice(first + a, first + b))
            write_best(sums, first + a, column, row, chosen, neighbours, scores)

    def add_steps(block: slice) -> csr_matrix:
        at = np.concatenate([positions[start[i] : start[i + 1]] for i in chosen[block]])
        place = np.repeat(np.arange(counts[block].size), counts[block])
        total = csr_matrix((counts[block].size, steps.n_items), dtype=np.int64)
        for shift, worth in shifts:
            other = at + shift
            there = (other >= 0) & (other < len(steps))
            there[there] = steps.profile[at[there]] == steps.profile[other[there]]
            places = place[there], steps.item[other[there]]
            worths = np.full(places[0].size, worth, np.int64)
            total = total + csr_matrix((worths, places), shape=total.shape)
        return total

    return rows


def write_best(
    sums: csr_matrix,
    first: int,
    column: Floats,
    row: Floats,
    chosen: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    scores: NDArray[np.float32],
) -> None:
    """The best columns of each row of a block; the diagonal is left out."""
    sums = sums.tocoo()
    i, j = sums.row + first, sums.col
    kept = (chosen[i] != j) & (sums.data > 0)
    i, j, score = i[kept], j[kept], sums.data[kept] * column[j[kept]]
    order = np.lexsort((j, -score, i))
    i, j, score = i[order], j[order], score[order]
    if not i.size:
        return
    starts = np.flatnonzero(np.diff(i, prepend=-1))
    place = np.arange(i.size) - np.repeat(starts, np.diff(np.append(starts, i.size)))
    best = place < neighbours.shape[1]
    neighbours[i[best], place[best]] = j[best]
    scores[i[best], place[best]] = score[best] * row[chosen[i[best]]]
