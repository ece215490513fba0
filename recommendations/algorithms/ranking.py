"""From recent items to the best others: one function for one profile and for many.

The score of an item is the sum, over the recent items newest first, of ``fading**k`` times its
strength as a neighbour. Items that are closed or blocked never rank; of a group only the
best does; ties go to the item with the smaller number.
"""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NOTHING, find_kernels

HISTORY = 10  # recent items that count; more add nothing measurable
FADING = np.float32(0.6)
CLOSED = -2  # in the place of a group: not to be shown

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


class Workspace(threading.local):
    """Each thread's sums, all zero between calls."""

    sums: NDArray[np.float32] = np.zeros(0, np.float32)


workspace = Workspace()


class Asked(NamedTuple):
    """Who is ranked for: the recent items of each profile, newest first, then its blocked ones.

    Attributes
    ----------
    bounds : ndarray of shape (n_profiles, 3), dtype int64
        Profile `u` has the recent items ``items[bounds[u, 0]:bounds[u, 1]]`` and the blocked ones
        ``items[bounds[u, 1]:bounds[u, 2]]``. One array of each kind: looking at an array costs a
        call for one profile a twentieth of its time.
    items : ndarray of shape (n,), dtype int32
        No item twice among the recent ones of a profile.
    """

    bounds: Int64s
    items: Int32s


def ask(recent: Sequence[Sequence[int]], blocked: Sequence[Sequence[int]]) -> Asked:
    """The lists of each profile, laid end to end."""
    items: list[int] = []
    bounds: list[tuple[int, int, int]] = []
    for own, closed in zip(recent, blocked, strict=True):
        begin = len(items)
        items += own
        items += closed
        bounds.append((begin, begin + len(own), len(items)))
    return Asked(np.array(bounds, np.int64).reshape(-1, 3), np.array(items, np.int32))


class Newer(NamedTuple):
    """Rows of the lists that were made anew, and stand in for those of the same items.

    Attributes
    ----------
    where : ndarray of shape (n_items,), dtype int32
        The place of an item's row here; -1 where the old one counts. Of size 0: no row is newer.
    neighbours : ndarray of shape (n_rows, top), dtype int32
    strength : ndarray of shape (n_rows, top), dtype float32
    """

    where: Int32s
    neighbours: Int32s
    strength: NDArray[np.float32]


NOTHING_NEWER = Newer(
    np.zeros(0, np.int32), np.zeros((0, 0), np.int32), np.zeros((0, 0), np.float32)
)


class Ranked(NamedTuple):
    """The lists of a call.

    Attributes
    ----------
    items : ndarray of shape (n_profiles, n), dtype int32
        Best first; padded with -1.
    scores : ndarray of shape (n_profiles, n), dtype float32
    because : ndarray of shape (n_profiles, n), dtype int32
        Which of the profile's recent items, counted from the newest, speaks loudest for the pick.
    places : ndarray of shape (n_profiles, n), dtype int32
        Where the pick stands in the row of that item.
    """

    items: Int32s
    scores: NDArray[np.float32]
    because: Int32s
    places: Int32s


def rank(
    neighbours: Int32s,
    strength: NDArray[np.float32],
    asked: Asked,
    *,
    groups: Int32s,
    n: int,
    fading: np.float32 = FADING,
    newer: Newer = NOTHING_NEWER,
    use_numba: bool = True,
) -> Ranked:
    """Rank for one profile or many.

    Parameters
    ----------
    neighbours : ndarray of shape (n_items, top), dtype int32
        Padded with -1; no item twice in a row.
    strength : ndarray of shape (n_items, top), dtype float32, > 0, padded with 0
        Falling along each row.
    asked : Asked
    groups : ndarray of shape (n_items,), dtype int32
        Items of one group are variants of one product; -1 is no group, -2 must not be shown.
    n : int, unit: items per profile, at least 1
    fading : float32
    newer : Newer, optional
    use_numba : bool, default True
        False takes the numpy twin, which gives the same bits.

    Returns
    -------
    Ranked
    """
    kernels = find_kernels() if use_numba else None
    if kernels is None:
        return rank_in_numpy(neighbours, strength, newer, asked, groups, n, fading)
    bounds, items = asked
    sums = sums_of_this_thread(groups.size)
    return Ranked._make(
        kernels.rank_profiles(
            neighbours,
            strength,
            newer.neighbours,
            newer.strength,
            newer.where,
            bounds,
            items,
            fading,
            groups,
            n,
            sums,
        )
    )


def sums_of_this_thread(size: int) -> NDArray[np.float32]:
    """Zeros, which the kernel leaves as zeros: to clear a million each call would cost more."""
    sums = workspace.sums
    if len(sums) < size:
        sums = workspace.sums = np.zeros(size, np.float32)
    return sums


def rank_in_numpy(
    neighbours: Int32s,
    strength: NDArray[np.float32],
    newer: Newer,
    asked: Asked,
    groups: Int32s,
    n: int,
    fading: np.float32,
) -> Ranked:
    """The twin of the compiled loop."""
    profiles = len(asked.bounds)
    found = Ranked(
        np.full((profiles, n), NOTHING, np.int32),
        np.zeros((profiles, n), np.float32),
        np.full((profiles, n), NOTHING, np.int32),
        np.full((profiles, n), NOTHING, np.int32),
    )
    longest = int((asked.bounds[:, 1] - asked.bounds[:, 0]).max(initial=0))
    decay = np.cumprod(np.append(np.float32(1), np.full(longest, fading)), dtype=np.float32)
    for u in range(profiles):
        begin, end, after = asked.bounds[u].tolist()
        rows = asked.items[begin:end]
        items, values = rows_of(neighbours, strength, newer, rows)
        shares = values * decay[: rows.size, None]
        filled = items != NOTHING
        candidates, inverse = np.unique(items[filled], return_inverse=True)
        sums = np.zeros(candidates.size, np.float32)
        np.add.at(sums, inverse, shares[filled])  # one after the other, as the loop does
        allowed = (groups[candidates] != CLOSED) & (sums > 0)
        allowed &= ~np.isin(candidates, asked.items[end:after])
        candidates, sums = candidates[allowed], sums[allowed]
        order = np.lexsort((candidates, -sums))
        picks = order[first_of_each(groups[candidates[order]])][:n]
        for r, pick in enumerate(picks):
            item = candidates[pick]
            found.items[u, r] = item
            found.scores[u, r] = sums[pick]
            share = np.where(items == item, shares, -1).max(axis=1, initial=-1)
            found.because[u, r] = share.argmax()
            found.places[u, r] = (items[share.argmax()] == item).argmax()
    return found


def rows_of(
    neighbours: Int32s, strength: NDArray[np.float32], newer: Newer, items: Int32s
) -> tuple[Int32s, NDArray[np.float32]]:
    """The rows of some items, the newer ones where there are."""
    if not newer.where.size:
        return neighbours[items], strength[items]
    place = newer.where[items]
    old = np.where(place < 0, items, 0)
    found, values = neighbours[old], strength[old]
    fresh = place >= 0
    found[fresh], values[fresh] = newer.neighbours[place[fresh]], newer.strength[place[fresh]]
    return found, values


def first_of_each(groups: NDArray[Any]) -> NDArray[np.bool_]:
    """True at the first place of each group, and wherever there is no group."""
    first = groups < 0
    first[np.unique(groups, return_index=True)[1]] = True
    return first
