"""What goes with an item: each reading of a log gives every item a list of the best others.

The counted readings work on any catalog. Those that need a matrix of items squared learn from the
items met most often, as many as fit; the others get no list from them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NextItems, SimilarItems
from recommendations.algorithms.lists import Lists, lists_of_dense
from recommendations.algorithms.log import Log, matrix, sequences
from recommendations.algorithms.recipe import Recipe
from recommendations.algorithms.sources.ease import Ease
from recommendations.algorithms.sources.lowpass import LowPass
from recommendations.algorithms.sources.ridge import NextRidge

LEAST_MET: Final = 5  # times; of what is met less often a matrix learns nothing
MOST_STEPS: Final = 1_000_000  # the newest; ridge keeps some twenty numbers of each in memory


@dataclass(frozen=True, slots=True)
class Machine:
    """What may be used of the computer.

    The bits of the counted readings do not depend on it. Those of linear algebra are the same for
    the same number of threads on the same machine.
    """

    threads: int = 1
    use_numba: bool = True


def similar_items(recipe: Recipe, machine: Machine) -> SimilarItems:
    return SimilarItems(
        source=recipe.similar_source,
        target=recipe.similar_target,
        damping=recipe.similar_damping,
        shrink=recipe.similar_shrink,
        top=recipe.top,
        threads=machine.threads,
        use_numba=machine.use_numba,
    )


def next_items(recipe: Recipe, machine: Machine) -> NextItems:
    return NextItems(
        window=recipe.next_window,
        decay=recipe.next_decay,
        backward=recipe.next_backward,
        source=recipe.next_source,
        target=recipe.next_target,
        shrink=recipe.next_shrink,
        top=recipe.top,
        threads=machine.threads,
        use_numba=machine.use_numba,
    )


def read_similar(log: Log, recipe: Recipe, machine: Machine) -> Lists:
    """Met by the same profiles."""
    fitted = similar_items(recipe, machine).fit(matrix(log, cap=recipe.history_cap))
    return Lists(fitted.neighbours_, fitted.scores_)


def read_next(log: Log, recipe: Recipe, machine: Machine) -> Lists:
    """Met soon after."""
    fitted = next_items(recipe, machine).fit(sequences(log, cap=recipe.history_cap))
    return Lists(fitted.neighbours_, fitted.scores_)


def read_ease(log: Log, recipe: Recipe, machine: Machine) -> Lists:
    """What a linear map from a history to itself makes of one item."""
    often, items = most_met(log, most=recipe.dense_items)
    model = Ease(penalty=penalty_for(often), cap=recipe.history_cap).fit(often)
    found = lists_of_dense(lambda a, b: model.weights_[a:b], n_items=often.n_items, top=recipe.top)
    return found.renumbered(items, n_items=log.n_items)


def read_ridge(log: Log, recipe: Recipe, machine: Machine) -> Lists:
    """What a linear map from a fading history to the next step makes of one item."""
    often, items = most_met(log, most=recipe.dense_items)
    model = NextRidge(penalty=min(penalty_for(often), 60.0), cap=recipe.history_cap).fit(often)
    # No list names its own item: who is at it needs no reminder.
    weights = model.weights_
    np.fill_diagonal(weights, 0)
    found = lists_of_dense(lambda a, b: weights[a:b], n_items=often.n_items, top=recipe.top)
    return found.renumbered(items, n_items=log.n_items)


def read_smooth(log: Log, recipe: Recipe, machine: Machine) -> Lists:
    """Close in the leading directions of who met what."""
    often, items = most_met(log, most=recipe.smooth_items)
    model = LowPass(cap=recipe.history_cap).fit(often)
    left = (model.directions_ * model.inverse_root()).T

    def block(first: int, last: int) -> NDArray[np.float32]:
        scores = left[first:last] @ model.directions_ * model.root_
        scores[np.arange(last - first), np.arange(first, last)] = 0
        return np.asarray(scores, np.float32)

    found = lists_of_dense(block, n_items=often.n_items, top=recipe.top)
    return found.renumbered(items, n_items=log.n_items)


COUNTED: Final = ("next", "similar")  # of every build; what is served without any choice
READINGS: Final[Mapping[str, Callable[[Log, Recipe, Machine], Lists]]] = {
    "next": read_next,
    "similar": read_similar,
    "ridge": read_ridge,
    "ease": read_ease,
    "smooth": read_smooth,
}


def most_met(log: Log, *, most: int) -> tuple[Log, NDArray[np.int64]]:
    """The newest steps with the items met often enough, numbered anew in the same order.

    Returns
    -------
    Log, of at most `most` items, those met most often
    items : ndarray of shape (n_items of that log,), dtype int64
        Which items they are.
    """
    recent = log if len(log) <= MOST_STEPS else log.take(is_newest(log, most=MOST_STEPS))
    met = np.bincount(recent.item, minlength=log.n_items)
    items = np.flatnonzero(met >= LEAST_MET)
    if items.size > most:
        items = np.sort(items[np.lexsort((items, -met[items]))[:most]])
    number = np.full(log.n_items, -1, np.int64)
    number[items] = np.arange(items.size)
    kept = recent.take(number[recent.item] >= 0)
    item = number[kept.item].astype(np.int32)
    often = Log(kept.profile, item, kept.weight, kept.ts_ms, kept.n_profiles, items.size)
    return often, items


def is_newest(log: Log, *, most: int) -> NDArray[np.bool_]:
    """Marks the newest events; of those at the very limit none."""
    limit = np.partition(log.ts_ms, len(log) - most - 1)[len(log) - most - 1]
    found: NDArray[np.bool_] = log.ts_ms > limit
    return found


def penalty_for(log: Log) -> float:
    """Where items are met often, a penalty can be large."""
    met = np.bincount(log.item, minlength=log.n_items)
    often = float(met[met > 0].mean()) if len(log) else 1.0
    return float(np.clip(3.5 * often, 10, 1_000))
