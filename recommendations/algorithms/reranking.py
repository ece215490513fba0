"""From candidates to a list: relevance against variety, and never too many of a kind.

Products are chosen one after the other (maximal marginal relevance). The next one is that with the
largest

    (1 - variety) · relevance - variety · likeness to the nearest of those chosen before

among those that no cap forbids. Of equals the more relevant, then the one with the smaller number.
Likeness is the share of kinds (category, brand) in which two products are the same.

Source: Carbonell & Goldstein (1998), "The Use of MMR, Diversity-Based Reranking".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NOTHING

Int32s = NDArray[np.int32]
Float64s = NDArray[np.float64]
LAST = np.iinfo(np.int32).max


class Cap(NamedTuple):
    """At most so many of one kind.

    Attributes
    ----------
    kind : ndarray of shape (n_items,), dtype int32
        What each item is; -1 is nothing, which is never capped.
    most : int, unit: items, at least 1
    """

    kind: Int32s
    most: int


def choose(
    items: Int32s,
    relevance: Float64s,
    *,
    wanted: NDArray[np.int64],
    chosen: Int32s,
    variety: float = 0.0,
    kinds: Sequence[Int32s] = (),
    caps: Sequence[Cap] = (),
) -> Int32s:
    """Choose for many profiles at once.

    Parameters
    ----------
    items : ndarray of shape (n_profiles, depth), dtype int32
        The candidates, in any order, none twice in a row; padded with -1.
    relevance : ndarray of shape (n_profiles, depth), dtype float64, at least 0
    wanted : ndarray of shape (n_profiles,), dtype int64, unit: items
        How many each profile is to get.
    chosen : ndarray of shape (n_profiles, any), dtype int32
        What stands already: it counts for likeness and caps. Padded with -1.
    variety : float, 0 to 1
        0 looks at relevance alone, 1 at likeness alone.
    kinds : sequence of ndarray of shape (n_items,), dtype int32
        What makes two items alike; -1 is nothing, which is like nothing.
    caps : sequence of Cap

    Returns
    -------
    ndarray of shape (n_profiles, max(wanted)), dtype int32
        Columns of `items` in the order they were chosen, padded with -1.

    Raises
    ------
    ValueError
        If the variety is not from 0 to 1.
    """
    if not 0 <= variety <= 1:
        raise ValueError(f"variety is {variety}, expected 0 to 1")
    table = Table(items, kinds, caps)
    for column in chosen.T:
        table.add(column)
    profiles = np.arange(len(items))
    picked = np.full((len(items), int(wanted.max(initial=0))), NOTHING, np.int32)
    for step in range(picked.shape[1]):
        value = (1 - variety) * relevance
        if variety and kinds:
            value -= variety * table.nearest
        value[~table.allowed()] = -np.inf
        best = value.max(axis=1, initial=-np.inf)
        found = (best > -np.inf) & (step < wanted)
        if not found.any():
            break
        equal = value == best[:, None]
        top = np.where(equal, relevance, -np.inf)
        equal &= top == top.max(axis=1)[:, None]
        column = np.where(equal, items, LAST).argmin(axis=1)
        picked[found, step] = column[found]
        table.open[profiles[found], column[found]] = False
        table.add(np.where(found, items[profiles, column], NOTHING))
    return picked


class Table:
    """The candidates of all profiles against what was chosen so far."""

    def __init__(self, items: Int32s, kinds: Sequence[Int32s], caps: Sequence[Cap]) -> None:
        self.open = items != NOTHING
        self.nearest = np.zeros(items.shape)  # likeness to the nearest of the chosen
        self.kinds = [(kind, kind[items]) for kind in kinds] if items.size else []
        self.caps = [(cap, cap.kind[items]) for cap in caps] if items.size else []
        self.counts = [np.zeros(items.shape, np.int16) for _ in self.caps]

    def add(self, item: Int32s) -> None:
        """One more was chosen for each profile; -1 where none was."""
        if self.kinds:
            alike = sum(same(kind, own, item).astype(np.float64) for kind, own in self.kinds)
            np.maximum(self.nearest, alike / len(self.kinds), out=self.nearest)
        for (cap, own), count in zip(self.caps, self.counts, strict=True):
            count += same(cap.kind, own, item)

    def allowed(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.open.copy()
        for (cap, _), count in zip(self.caps, self.counts, strict=True):
            found &= count < cap.most
        return found


def same(kind: Int32s, own: Int32s, item: Int32s) -> NDArray[np.bool_]:
    """Where a candidate, whose kinds are `own`, is of the same kind as the profile's item."""
    code = np.where(item == NOTHING, NOTHING, kind[item])[:, None]
    found: NDArray[np.bool_] = (own == code) & (code != NOTHING)
    return found
