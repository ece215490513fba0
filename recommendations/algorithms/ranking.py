"""From recent items to the best others: one function for one profile and for many.

The score of an item is the sum, over the recent items newest first, of ``fading**k`` times its
strength as a neighbour. Items that are not eligible or blocked never rank; of a group only the
best does; ties go to the item with the smaller number.
"""

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NOTHING, find_kernels

HISTORY = 10  # recent items that count; more add nothing measurable
FADING = 0.6

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
workspace = threading.local()  # sums, all zero between calls; one per thread


class Ragged(NamedTuple):
    """Lists of item numbers laid end to end: list `u` is ``values[start[u]:start[u + 1]]``."""

    start: Int64s
    values: Int32s


def ragged(lists: list[list[int]]) -> Ragged:
    start = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(one) for one in lists], out=start[1:])
    return Ragged(start, np.array([item for one in lists for item in one], np.int32))


class Ranked(NamedTuple):
    """The lists of a call.

    Attributes
    ----------
    items : ndarray of shape (n_profiles, n), dtype int32
        Best first; padded with -1.
    scores : ndarray of shape (n_profiles, n), dtype float32
    because : ndarray of shape (n_profiles, n), dtype int32
        Which of the profile's recent items, counted from the newest, speaks loudest for the pick.
    """

    items: Int32s
    scores: NDArray[np.float32]
    because: Int32s


def rank(
    neighbours: Int32s,
    strength: NDArray[np.float32],
    *,
    recent: Ragged,
    blocked: Ragged,
    eligible: NDArray[np.bool_],
    groups: Int32s,
    n: int,
    fading: float = FADING,
    use_numba: bool = True,
) -> Ranked:
    """Rank for one profile or many.

    Parameters
    ----------
    neighbours : ndarray of shape (n_items, top), dtype int32
        Padded with -1; no item twice in a row.
    strength : ndarray of shape (n_items, top), dtype float32, > 0, padded with 0
        Falling along each row.
    recent : Ragged
        The recent items of each profile, newest first, no item twice.
    blocked : Ragged
        What each profile must not get.
    eligible : ndarray of shape (n_items,), dtype bool
    groups : ndarray of shape (n_items,), dtype int32
        Items of one group are variants of one product; -1 is no group.
    n : int, unit: items per profile, at least 1
    fading : float
    use_numba : bool, default True
        False takes the numpy twin, which gives the same bits.

    Returns
    -------
    Ranked
    """
    kernels = find_kernels() if use_numba else None
    if kernels is None:
        return rank_in_numpy(
            neighbours, strength, recent, blocked, eligible, groups, n, np.float32(fading)
        )
    return Ranked(
        *kernels.rank_profiles(
            neighbours,
            strength,
            recent.start,
            recent.values,
            np.float32(fading),
            blocked.start,
            blocked.values,
            eligible,
            groups,
            n,
            sums_of_this_thread(eligible.size),
        )
    )


def sums_of_this_thread(size: int) -> NDArray[np.float32]:
    """Zeros, which the kernel leaves as zeros: to clear a million each call would cost more."""
    sums: NDArray[np.float32] | None = getattr(workspace, "sums", None)
    if sums is None or sums.size < size:
        sums = workspace.sums = np.zeros(size, np.float32)
    return sums


def rank_in_numpy(
    neighbours: Int32s,
    strength: NDArray[np.float32],
    recent: Ragged,
    blocked: Ragged,
    eligible: NDArray[np.bool_],
    groups: Int32s,
    n: int,
    fading: np.float32,
) -> Ranked:
    """The twin of the compiled loop."""
    profiles = recent.start.size - 1
    found = Ranked(
        np.full((profiles, n), NOTHING, np.int32),
        np.zeros((profiles, n), np.float32),
        np.full((profiles, n), NOTHING, np.int32),
    )
    longest = int(np.diff(recent.start).max(initial=0))
    decay = np.cumprod(np.append(np.float32(1), np.full(longest, fading)), dtype=np.float32)
    for u in range(profiles):
        rows = recent.values[recent.start[u] : recent.start[u + 1]]
        items = neighbours[rows]
        shares = strength[rows] * decay[: rows.size, None]
        filled = items != NOTHING
        candidates, inverse = np.unique(items[filled], return_inverse=True)
        sums = np.zeros(candidates.size, np.float32)
        np.add.at(sums, inverse, shares[filled])  # one after the other, as the loop does
        allowed = (
            eligible[candidates]
            & (sums > 0)
            & ~np.isin(candidates, blocked.values[blocked.start[u] : blocked.start[u + 1]])
        )
        candidates, sums = candidates[allowed], sums[allowed]
        order = np.lexsort((candidates, -sums))
        picks = order[first_of_each(groups[candidates[order]])][:n]
        for r, pick in enumerate(picks):
            item = candidates[pick]
            found.items[u, r] = item
            found.scores[u, r] = sums[pick]
            share = np.where(items == item, shares, -1).max(axis=1, initial=-1)
            found.because[u, r] = share.argmax()
    return found


def first_of_each(groups: NDArray[Any]) -> NDArray[np.bool_]:
    """True at the first place of each group, and wherever there is no group."""
    first = groups < 0
    first[np.unique(groups, return_index=True)[1]] = True
    return first
