"""How much each of many profiles wants one item: `ranking` turned round.

There one profile asks for the best items; here one item asks for the profiles. The score is the
same, the sum over a profile's recent items h_0 (newest), h_1, … of ``fading**k`` times the item's
strength as a neighbour of h_k, added up in the same order in float32.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NOTHING, find_kernels
from recommendations.algorithms.ranking import NOTHING_NEWER, Newer

STEP = 100_000  # rows of the neighbours that are compared at a time
Int32s = NDArray[np.int32]
Float32s = NDArray[np.float32]


def column_of(
    item: int, neighbours: Int32s, strength: Float32s, *, newer: Newer = NOTHING_NEWER
) -> Float32s:
    """How strongly each item speaks for one item.

    Parameters
    ----------
    item : int
    neighbours : ndarray of shape (n_items, top), dtype int32
        Padded with -1; no item twice in a row.
    strength : ndarray of shape (n_items, top), dtype float32
    newer : Newer, optional
        Rows that stand in for those of the same items, and further items.

    Returns
    -------
    ndarray of shape (n_items,), dtype float32
        0 where the item is no neighbour.
    """
    column = np.zeros(max(len(neighbours), newer.where.size), np.float32)
    for start in range(0, len(neighbours), STEP):
        rows, places = np.nonzero(neighbours[start : start + STEP] == item)
        column[start + rows] = strength[start + rows, places]
    replaced = np.flatnonzero(newer.where >= 0)
    column[replaced] = 0
    rows, places = np.nonzero(newer.neighbours == item)
    of_item = replaced[np.argsort(newer.where[replaced])]
    column[of_item[rows]] = newer.strength[rows, places]
    return column


class Wanting:
    """The scores of many profiles for one item, from touches that come newest first.

    Parameters
    ----------
    column : ndarray of shape (n_items,), dtype float32
        See `column_of`.
    n_profiles : int
    history : int, unit: different items per profile
    fading : float32
    most_touches : int, unit: touches per profile
        Older ones are not looked at, whatever they are of.
    use_numba : bool, default True
        False takes the numpy twin, which gives the same bits.

    Attributes
    ----------
    scores_ : ndarray of shape (n_profiles,), dtype float32
    because_ : ndarray of shape (n_profiles,), dtype int32
        The recent item that speaks loudest, the newest of equals; -1 where none does.

    Memory: 4 · `history` + 16 bytes per profile.
    """

    def __init__(
        self,
        column: Float32s,
        *,
        n_profiles: int,
        history: int,
        fading: np.float32,
        most_touches: int,
        use_numba: bool = True,
    ) -> None:
        self.kernels = find_kernels() if use_numba else None
        self.column = column
        self.most_touches = most_touches
        self.decay = np.cumprod(np.append(np.float32(1), np.full(history - 1, fading)), dtype="f4")
        self.recent = np.full((n_profiles, history), NOTHING, np.int32)
        self.places = np.zeros(n_profiles, np.int16)  # how many of `recent` are known
        self.touched = np.zeros(n_profiles, np.int32)
        self.loudest = np.zeros(n_profiles, np.float32)
        self.scores_ = np.zeros(n_profiles, np.float32)
        self.because_ = np.full(n_profiles, NOTHING, np.int32)

    def is_full(self) -> NDArray[np.bool_]:
        """The profiles to whose scores no touch adds anything any more."""
        most = self.recent.shape[1]
        full: NDArray[np.bool_] = (self.touched >= self.most_touches) | (self.places >= most)
        return full

    def add(self, profile: NDArray[np.int64], item: Int32s) -> "Wanting":
        """Take touches, the newest first; none may be newer than any that came before.

        Parameters
        ----------
        profile : ndarray of shape (n,), dtype int64
        item : ndarray of shape (n,), dtype int32
            -1: a touch of something else, which only counts as one.
        """
        if self.kernels is None:
            return self.add_in_numpy(profile, item)
        self.kernels.want(
            profile,
            item,
            self.column,
            self.decay,
            self.most_touches,
            self.touched,
            self.recent,
            self.places,
            self.loudest,
            self.scores_,
            self.because_,
        )
        return self

    def add_in_numpy(self, profile: NDArray[np.int64], item: Int32s) -> "Wanting":
        """The twin of the compiled loop."""
        order = np.argsort(profile, kind="stable")
        profile, item = profile[order], item[order]
        turn = self.touched[profile] + number_in_runs(profile)
        within = turn < self.most_touches
        profile, item, turn = profile[within], item[within], turn[within]
        np.add.at(self.touched, profile, 1)
        # No profile has two touches in one turn, so each turn is done for all at once.
        order = np.argsort(turn, kind="stable")
        edges = np.searchsorted(turn[order], np.arange(self.most_touches + 1))
        for begin, end in pairwise(edges):
            rows = order[begin:end]
            self.take(profile[rows], item[rows])
        return self

    def take(self, profile: NDArray[np.int64], item: Int32s) -> None:
        """One touch of each of some profiles."""
        history = self.recent.shape[1]
        new = (item != NOTHING) & (self.places[profile] < history)
        profile, item = profile[new], item[new]
        new = ~(self.recent[profile] == item[:, None]).any(axis=1)
        profile, item = profile[new], item[new]
        places = self.places[profile]
        self.recent[profile, places] = item
        self.places[profile] += 1
        share = self.decay[places] * self.column[item]
        self.scores_[profile] += share
        louder = share > self.loudest[profile]
        self.loudest[profile[louder]] = share[louder]
        self.because_[profile[louder]] = item[louder]


def number_in_runs(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2, … within each run of equal values."""
    if not values.size:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    lengths = np.diff(np.append(starts, values.size))
    return np.arange(values.size) - np.repeat(starts, lengths)


class Threshold(NamedTuple):
    share: float  # of all who want it
    score: float  # the lowest score among them
    profiles: int  # who have at least this score


def list_thresholds(scores: Float32s, *, parts: int = 10) -> list[Threshold]:
    """How many there are at each decile of the score.

    Parameters
    ----------
    scores : ndarray of shape (n,), dtype float32
        Falling.
    parts : int
        10 for deciles.

    Returns
    -------
    list of Threshold
        The first one is the best tenth; empty when there are no scores. Those who have the score
        of the last one of a part are in it.
    """
    if not scores.size:
        return []
    found = []
    for part in range(1, parts + 1):
        last = scores[-(-scores.size * part // parts) - 1]
        within = int(np.searchsorted(-scores, -last, side="right"))
        found.append(Threshold(part / parts, float(last), within))
    return found
