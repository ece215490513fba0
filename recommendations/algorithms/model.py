"""The whole model: a list per item from each reading, their mixture, and popularity."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NOTHING
from recommendations.algorithms.folding import Counted, count
from recommendations.algorithms.lists import Lists
from recommendations.algorithms.log import Log, last_touches
from recommendations.algorithms.popularity import Popularity
from recommendations.algorithms.quality import measure
from recommendations.algorithms.ranking import FADING, HISTORY, Asked, Ranked, ask, rank
from recommendations.algorithms.readings import COUNTED, READINGS, Machine
from recommendations.algorithms.recipe import Recipe
from recommendations.algorithms.sources.personal import Personal
from recommendations.algorithms.split import Split
from recommendations.algorithms.visits import Visits, make_sessions, visits_of

SHOWN: Final = 20  # length of the lists that are measured for coverage
FIRST: Final = 10  # places whose sources are counted
BLOCK = 4_096  # items or profiles at a time, below 32,768: all at once would take gigabytes
Int64s = NDArray[np.int64]


class Mixture(NamedTuple):
    """What profiles are served from.

    Attributes
    ----------
    neighbours : ndarray of shape (n_items, top), dtype int32
        Best first, ties by item number, padded with -1.
    strength : ndarray of shape (n_items, top), dtype float32
        Padded with 0.
    loudest : ndarray of shape (n_items, top), dtype uint8
        Which source, of the names that the mixture was made of, says most for the pair.
    """

    neighbours: NDArray[np.int32]
    strength: NDArray[np.float32]
    loudest: NDArray[np.uint8]


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
    lists_ : dict of reading to `Lists`
        "next" and "similar", and whatever else the recipe gives a weight.
    counted_ : Counted
        What the counted lists can be brought up to date from.
    sources_ : tuple of str
        The names that `personal_` was mixed of, in the order of its numbers.
    personal_ : Mixture
    popularity_ : the fitted `Popularity`
    occurrences_ : ndarray of shape (n_items,), dtype int64
    visits_ : Visits
        Empty where the recipe gives them no weight.
    again_ : ndarray of shape (n_items,), dtype float32
        How many of those who met an item came back to it on another day, as a share.
    """

    lists_: dict[str, Lists]
    counted_: Counted
    sources_: tuple[str, ...]
    personal_: Mixture
    popularity_: Popularity
    occurrences_: NDArray[np.int64]
    visits_: Visits
    again_: NDArray[np.float32]

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
        self.machine = Machine(threads, use_numba)

    def fit(self, log: Log, *, tell: Callable[[float], None] = lambda share: None) -> Self:
        """Learn from all events of the log.

        Parameters
        ----------
        log : Log
        tell : callable
            Hears the share of the work that is done.

        Raises
        ------
        ValueError
            If the recipe gives weight to a reading that there is not.
        """
        recipe = self.recipe
        if unknown := sorted(set(recipe.weights) - set(READINGS)):
            raise ValueError(f"there is no reading {unknown[0]!r}")
        wanted = [name for name in READINGS if recipe.weights.get(name, 0) > 0]
        self.lists_, self.counted_ = count(log, recipe, self.machine)
        for done, name in enumerate(wanted):
            tell(done / max(len(wanted), 1))
            if name not in COUNTED:
                self.lists_[name] = READINGS[name](log, recipe, self.machine)
        self.popularity_ = Popularity(
            half_life_days=recipe.half_life_days,
            window_days=recipe.window_days,
            tilt=recipe.tilt,
            sale_weight=self.sale_weight,
        ).fit(log)
        self.sources_ = sources_of(recipe)
        self.personal_ = self.mixture(recipe)
        self.occurrences_ = np.bincount(log.item, minlength=log.n_items).astype(np.int64)
        self.visits_ = (
            Visits.of(make_sessions().fit(visits_of(log)))
            if recipe.visits
            else Visits.none(log.n_items)
        )
        self.again_ = Personal().fit(log).again_
        return self

    def mixture(self, recipe: Recipe, *, rows: NDArray[np.int64] | None = None) -> Mixture:
        """Of the fitted lists, by the weights of a recipe; of all items or of some."""
        return mix(
            [self.lists_[name] for name in sources_of(recipe)],
            scales(self.lists_, recipe.weights),
            boost=self.popularity_.rise_**recipe.personal_tilt,
            rows=rows,
        )


def sources_of(recipe: Recipe) -> tuple[str, ...]:
    """What a recipe mixes."""
    return tuple(name for name in READINGS if recipe.weights.get(name, 0) > 0)


def scales(lists: Mapping[str, Lists], weights: Mapping[str, float]) -> list[float]:
    """What the scores of each source with a weight are multiplied by.

    Each is brought to its own scale first, the mean of the best score of its rows.
    """
    found = []
    for name in READINGS:
        if (weight := weights.get(name, 0)) > 0:
            best = lists[name].scores[:, 0]
            best = best[best > 0]
            found.append(weight / float(best.mean(dtype=np.float64)) if best.size else 0.0)
    return found


def mix(
    sources: Sequence[Lists],
    scale: Sequence[float],
    *,
    boost: NDArray[np.float64],
    rows: NDArray[np.int64] | None = None,
) -> Mixture:
    """One list per item out of several: the sum of their scores, each times its scale.

    Parameters
    ----------
    sources : sequence of `Lists`, at least one, all of the same items
    scale : sequence of float, one per source
    boost : ndarray of shape (n_items,)
        Multiplied into the score of each neighbour.
    rows : ndarray of shape (n,), optional
        Only the lists of these items are made; those of the others stay empty.

    Returns
    -------
    Mixture
    """
    n_lists, top = sources[0].neighbours.shape
    found = Mixture(
        np.full((n_lists, top), NOTHING, np.int32),
        np.zeros((n_lists, top), np.float32),
        np.zeros((n_lists, top), np.uint8),
    )
    every = np.arange(n_lists) if rows is None else rows
    for first in range(0, every.size, BLOCK):
        here = every[first : first + BLOCK]
        block = [Lists(one.neighbours[here], one.scores[here]) for one in sources]
        row, item, total, loudest = add_up(block, scale, boost.size)
        total *= boost[item]
        # Pairs come by row and item, and the sort is stable: ties stay in the order of items.
        order = np.lexsort((-total, row.astype(np.int16)))  # 16 bits are sorted by counting
        row, item, total, loudest = row[order], item[order], total[order], loudest[order]
        place = np.arange(row.size) - np.searchsorted(row, np.arange(here.size))[row]
        kept = place < top
        at = here[row[kept]], place[kept]
        found.neighbours[at] = item[kept]
        found.strength[at] = total[kept]
        found.loudest[at] = loudest[kept]
    return found


def add_up(
    sources: Sequence[Lists], scale: Sequence[float], n_items: int
) -> tuple[Int64s, Int64s, NDArray[np.float64], NDArray[np.uint8]]:
    """Row, item, sum and loudest source of every pair that any source has; the first of equals."""
    pairs, parts = [], []
    for (neighbours, scores), factor in zip(sources, scale, strict=True):
        row, place = np.nonzero((neighbours != NOTHING) & (factor > 0))
        pairs.append(row * n_items + neighbours[row, place].astype(np.int64))
        parts.append(scores[row, place] * factor)
    pair, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
    total = np.zeros(pair.size, np.float64)
    most = np.zeros(pair.size, np.float64)
    loudest = np.zeros(pair.size, np.uint8)
    begin = 0
    for number, part in enumerate(parts):  # no source has a pair twice
        places = inverse[begin : begin + part.size]
        begin += part.size
        total[places] += part
        louder = part > most[places]
        most[places[louder]] = part[louder]
        loudest[places[louder]] = number
    row, item = np.divmod(pair, n_items)
    return row, item, total, loudest


def from_history(log: Log, profiles: NDArray[np.int32], *, history: int = HISTORY) -> Asked:
    """Ask by the recent items of each profile; all it ever touched is blocked.

    `log` has each item once per profile, see `log.last_touches`.
    """
    bounds = log.bounds()
    touched = [log.item[bounds[u] : bounds[u + 1]].tolist() for u in profiles]
    return ask([items[: -history - 1 : -1] for items in touched], touched)


def evaluate(
    personal: Mixture,
    split: Split,
    *,
    history: int = HISTORY,
    fading: float = float(FADING),
    use_numba: bool = True,
) -> tuple[dict[str, float], NDArray[np.int64]]:
    """How good one mixture is on what was held back; all items are ranked.

    Parameters
    ----------
    personal : Mixture, in the item numbers of the split
    split : Split, with at least one profile to ask
    history : int, unit: items
        So many of the newest of a profile speak.
    fading : float
        Per step back.

    Returns
    -------
    figures : dict
        As `quality.measure` at 10, and recall and coverage at 20.
    places : ndarray of shape (n_sources,), dtype int64
        How many of the first ten places of all lists are due to each source.
    """
    lists, places = answer(personal, split, history=history, fading=fading, use_numba=use_numba)
    occurrences = np.bincount(split.train.item, minlength=split.train.n_items).astype(np.int64)
    wide = measure(lists, split.targets, occurrences=occurrences, k=SHOWN)
    figures = measure(lists, split.targets, occurrences=occurrences) | {
        "recall@20": wide["recall@20"],
        "ndcg@20": wide["ndcg@20"],
        "coverage@20": wide["coverage@20"],
    }
    return figures, places


def answer(
    personal: Mixture, split: Split, *, history: int, fading: float, use_numba: bool
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The lists of everybody who is asked, of shape (n_asked, SHOWN), and places as `evaluate`."""
    n_items = split.train.n_items
    of_asked = np.isin(np.arange(split.train.n_profiles), split.profiles)[split.train.profile]
    once = last_touches(split.train.take(of_asked), cap=len(split.train) + 1)
    groups = np.full(n_items, NOTHING, np.int32)
    lists = np.full((split.profiles.size, SHOWN), NOTHING, np.int32)
    places = np.zeros(np.iinfo(np.uint8).max + 1, np.int64)
    for first in range(0, split.profiles.size, BLOCK):
        asked = from_history(once, split.profiles[first : first + BLOCK], history=history)
        found = rank(
            personal.neighbours, personal.strength, asked,
            groups=groups, n=SHOWN, fading=np.float32(fading), use_numba=use_numba,
        )  # fmt: skip
        lists[first : first + BLOCK] = found.items
        places += np.bincount(sources_in(found, asked, personal), minlength=places.size)
    return lists, places


def sources_in(found: Ranked, asked: Asked, personal: Mixture) -> NDArray[np.uint8]:
    """The source of each of the first places that are filled, one after the other."""
    profile, place = np.nonzero(found.items[:, :FIRST] != NOTHING)
    said_by = asked.items[asked.bounds[profile, 0] + found.because[profile, place]]
    sources: NDArray[np.uint8] = personal.loudest[said_by, found.places[profile, place]]
    return sources
