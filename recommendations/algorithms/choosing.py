"""The constants of a shop, chosen on events that the model did not learn from.

A film club's next film follows from the last one; a shop's next order from what was in all the
baskets before it. Which it is, only the shop's own events can tell: on one, reading the last ten
touches with a quick fading is best, on the other it costs half of the accuracy.
"""

import dataclasses
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.log import Log
from recommendations.algorithms.model import ItemModel, Recipe, evaluate
from recommendations.algorithms.split import Split, hold_out

BLENDS = (0.0, 0.2, 1.0, 5.0)  # weight of "similar" beside 1 of "next"
TILTS = (0.0, 0.5)
MEMORIES = ((10, 0.6), (20, 0.8), (50, 0.9), (50, 0.95))  # touches, and how they fade per step
LEAST_PROFILES = 100  # fewer would choose by luck
MOST_PROFILES = 1_000  # more move no choice
LEAST_GAIN = 0.02  # of the figure, for the documented constants to give way
FIGURE = "ndcg@10"


def choose_recipe(
    log: Log, start: Recipe, *, tell: Callable[[float], None] = lambda share: None, **model: Any
) -> Recipe:
    """The start, or what answers the newest part of the log clearly better.

    Parameters
    ----------
    log : Log
        What may be learned from; its newest part is held back here once more, so that whoever
        measures the choice measures it on other events.
    start : Recipe
        Kept where the log is too thin to choose, and among equals.
    tell : callable
        Hears the share of the work that is done.
    **model
        Further arguments of `ItemModel`.

    Returns
    -------
    Recipe
        The same log gives the same recipe.
    """
    split = sampled(hold_out(log), most=MOST_PROFILES)
    if split.profiles.size < LEAST_PROFILES:
        return start
    learned = ItemModel(start, **model).fit(split.train)
    rows = asked_by(split)
    usual = score(learned, start, split, rows)
    best, reached = start, usual * (1 + LEAST_GAIN)
    tried = list(variations(start))
    for number, recipe in enumerate(tried, start=1):
        tell(number / (len(tried) + 1))
        if (found := score(learned, recipe, split, rows)) > reached:
            best, reached = recipe, found
    return best


def variations(start: Recipe) -> Iterator[Recipe]:
    for blend, tilt, (history, fading) in product(BLENDS, TILTS, MEMORIES):
        yield dataclasses.replace(
            start, blend=blend, personal_tilt=tilt, history=history, fading=fading
        )


def score(learned: ItemModel, recipe: Recipe, split: Split, rows: NDArray[np.int64]) -> float:
    """Only the mixture is made anew, and of it only the rows that anybody is answered by."""
    neighbours, strength = learned.mixture(recipe, rows=rows)
    figures = evaluate(
        neighbours, strength, split, history=recipe.history, fading=recipe.fading,
        use_numba=learned.use_numba,
    )  # fmt: skip
    return figures[FIGURE]


def asked_by(split: Split) -> NDArray[np.int64]:
    """The items of everybody who is asked."""
    events = np.isin(split.train.profile, split.profiles)
    return np.unique(split.train.item[events]).astype(np.int64)


def sampled(split: Split, *, most: int) -> Split:
    """At most so many of the profiles that are asked, evenly spread."""
    if split.profiles.size <= most:
        return split
    places = np.linspace(0, split.profiles.size - 1, most).astype(np.int64)
    targets = [split.targets[place] for place in places]
    return dataclasses.replace(split, profiles=split.profiles[places], targets=targets)
