"""The whole model: both readings of the correlation, their blend, and popularity."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NOTHING, NextItems, SimilarItems
from recommendations.algorithms.log import Log, last_touches, matrix, sequences
from recommendations.algorithms.popularity import Popularity
from recommendations.algorithms.quality import measure
from recommendations.algorithms.ranking import FADING, HISTORY, Asked, ask, rank
from recommendations.algorithms.split import Split

SHOWN = 20  # length of the lists that are measured for coverage
BLOCK = 4_096  # items or profiles at a time: all at once would take gigabytes
Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every constant of a model. Where they come from: docs/algorithms.md."""

    top: int = 100  # neighbours kept per item
    history_cap: int = 500  # newest items of a profile that are learned from
    similar_source: float = 0.5
    similar_target: float = 0.5
    similar_damping: float = 0.5
    similar_shrink: float = 10.0
    next_window: int = 10
    next_decay: float = 0.9
    next_backward: float = 0.3
    next_source: float = 0.7
    next_target: float = 0.3
    next_shrink: float = 10.0
    blend: float = 0.2  # weight of "similar" beside 1 of "next"
    half_life_days: float = 60.0
    window_days: int = 14
    tilt: float = 0.75  # of the trending list
    personal_tilt: float = 0.5  # power of the trend on the lists people are served from
    history: int = HISTORY  # newest items of a profile that it is served by
    fading: float = 0.6  # their say, per step back

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class ItemModel:
    """Learns a catalog's correlations from a log.

    Parameters
    ----------
    recipe : Recipe
    threads : int
    sale_weight : int
        Events of this weight and more are sales.
    use_numba : bool

    Attributes
    ----------
    similar_, next_ : the fitted readings
    personal_ : tuple of (neighbours, strength)
        The blend that profiles are served from; shapes and padding as in the readings.
    popularity_ : the fitted `Popularity`
    occurrences_ : ndarray of shape (n_items,), dtype int64
    """

    similar_: SimilarItems
    next_: NextItems
    personal_: tuple[NDArray[np.int32], NDArray[np.float32]]
    popularity_: Popularity
    occurrences_: NDArray[np.int64]

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        threads: int = 1,
        sale_weight: int = 5,
        use_numba: bool = True,
    ) -> None:
        self.recipe = recipe or Recipe()
        self.sale_weight = sale_weight
        self.threads = threads
        self.use_numba = use_numba

    def fit(self, log: Log) -> Self:
        """Learn from all events of the log."""
        recipe = self.recipe
        shared: dict[str, Any] = {
            "top": recipe.top,
            "threads": self.threads,
            "use_numba": self.use_numba,
        }
        self.similar_ = SimilarItems(
            source=recipe.similar_source,
            target=recipe.similar_target,
            damping=recipe.similar_damping,
            shrink=recipe.similar_shrink,
            **shared,
        ).fit(matrix(log, cap=recipe.history_cap))
        self.next_ = NextItems(
            window=recipe.next_window,
            decay=recipe.next_decay,
            backward=recipe.next_backward,
            source=recipe.next_source,
            target=recipe.next_target,
            shrink=recipe.next_shrink,
            **shared,
        ).fit(sequences(log, cap=recipe.history_cap))
        self.popularity_ = Popularity(
            half_life_days=recipe.half_life_days,
            window_days=recipe.window_days,
            tilt=recipe.tilt,
            sale_weight=self.sale_weight,
        ).fit(log)
        self.personal_ = self.mixture(recipe)
        self.occurrences_ = np.bincount(log.item, minlength=log.n_items).astype(np.int64)
        return self

    def mixture(
        self, recipe: Recipe, *, rows: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Of the fitted readings, in the shares of a recipe; of all items or of some."""
        return blend(
            (self.next_.neighbours_, self.next_.scores_, 1.0),
            (self.similar_.neighbours_, self.similar_.scores_, recipe.blend),
            boost=self.popularity_.rise_**recipe.personal_tilt,
            rows=rows,
        )


Source = tuple[NDArray[np.int32], NDArray[np.float32], float]


def blend(
    *sources: Source,
    boost: NDArray[np.float64] | None = None,
    rows: NDArray[Any] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """One list per item out of several: a weighted sum, each source on its own scale.

    Parameters
    ----------
    *sources : tuples of (neighbours, scores, weight), all of the same shape
        A source's scale is the mean of the best score of its rows.
    boost : ndarray of shape (n_items,), optional
        Multiplied into the score of each neighbour.
    rows : integer ndarray, optional
        Only the lists of these items are made; those of the others stay empty.

    Returns
    -------
    neighbours, strength : as the sources, best first, ties by item number
    """
    n_items, top = sources[0][0].shape
    scaled = [
        (neighbours, scores, weight / best.mean(dtype=np.float64))
        for neighbours, scores, weight in sources
        if weight > 0 and (best := scores[:, 0][scores[:, 0] > 0]).size
    ]
    out_items = np.full((n_items, top), NOTHING, np.int32)
    out_strength = np.zeros((n_items, top), np.float32)
    every = np.arange(n_items) if rows is None else rows
    for first in range(0, every.size if scaled else 0, BLOCK):
        here = every[first : first + BLOCK]
        block = [(neighbours[here], scores[here], scale) for neighbours, scores, scale in scaled]
        row, item, total = add_up(block, n_items)
        if boost is not None:
            total *= boost[item]
        order = np.lexsort((item, -total, row))
        row, item, total = row[order], item[order], total[order]
        place = np.arange(row.size) - np.searchsorted(row, row)
        kept = place < top
        out_items[here[row[kept]], place[kept]] = item[kept]
        out_strength[here[row[kept]], place[kept]] = total[kept]
    return out_items, out_strength


def add_up(sources: Sequence[Source], n_items: int) -> tuple[Int64s, Int64s, NDArray[np.float64]]:
    """Row, item and sum of every pair that any source has."""
    pairs, parts = [], []
    for neighbours, scores, scale in sources:
        row, place = np.nonzero(neighbours != NOTHING)
        pairs.append(row * n_items + neighbours[row, place].astype(np.int64))
        parts.append(scores[row, place] * scale)
    pair, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
    total = np.zeros(pair.size, np.float64)
    np.add.at(total, inverse, np.concatenate(parts))
    row, item = np.divmod(pair, n_items)
    return row, item, total


def from_history(log: Log, profiles: NDArray[np.int32], *, history: int = HISTORY) -> Asked:
    """Ask by the recent items of each profile; all it ever touched is blocked.

    `log` has each item once per profile, see `log.last_touches`.
    """
    bounds = log.bounds()
    touched = [log.item[bounds[u] : bounds[u + 1]].tolist() for u in profiles]
    return ask([items[: -history - 1 : -1] for items in touched], touched)


def evaluate(
    neighbours: NDArray[np.int32],
    strength: NDArray[np.float32],
    split: Split,
    *,
    history: int = HISTORY,
    fading: float = float(FADING),
    use_numba: bool = True,
) -> dict[str, float]:
    """The figures of one matrix of neighbours on what was held back; all items are ranked.

    Parameters
    ----------
    neighbours, strength : as `ranking.rank` takes them, in the item numbers of the split
    split : Split, with at least one profile to ask
    history : int, unit: items
        So many of the newest of a profile speak.
    fading : float
        Per step back.

    Returns
    -------
    dict
        As `quality.measure` at 10, and recall and coverage at 20.
    """
    n_items = split.train.n_items
    once = last_touches(split.train, cap=len(split.train) + 1)
    groups = np.full(n_items, NOTHING, np.int32)
    lists = np.full((split.profiles.size, SHOWN), NOTHING, np.int32)
    for first in range(0, split.profiles.size, BLOCK):
        asked = from_history(once, split.profiles[first : first + BLOCK], history=history)
        found = rank(
            neighbours, strength, asked,
            groups=groups, n=SHOWN, fading=np.float32(fading), use_numba=use_numba,
        )  # fmt: skip
        lists[first : first + BLOCK] = found.items
    occurrences = np.bincount(split.train.item, minlength=n_items).astype(np.int64)
    wide = measure(lists, split.targets, occurrences=occurrences, k=SHOWN)
    return measure(lists, split.targets, occurrences=occurrences) | {
        "recall@20": wide["recall@20"],
        "ndcg@20": wide["ndcg@20"],
        "coverage@20": wide["coverage@20"],
    }
