"""Which attributes tell what newcomers touch first: chosen on those of the newest weeks.

Of twenty attributes that tell nothing, one looks better by two standard errors in four shops of
ten. So the more are tried, the clearer the gain must be: all together are wrong as often as one.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.choosing import ERRORS, FIGURE, LEAST_PROFILES, K, is_better
from recommendations.algorithms.demographics import (
    UNKNOWN,
    Attribute,
    Met,
    candidates,
    count_met,
    each_once,
    lift,
)
from recommendations.algorithms.log import Log
from recommendations.algorithms.popularity import DAY_MS, Popularity, Scores, best_first
from recommendations.algorithms.quality import discounted, hits
from recommendations.algorithms.recipe import Recipe

WEEKS: Final = (1, 2, 4, 8)  # the fewest that have newcomers enough are held back, else the most
ENOUGH: Final = 1_000  # newcomers: fewer can only see a large gain
LEAST_GAIN: Final = 0.01  # of the figure: few have another list than most, and gain much
MOST_HELD: Final = 0.25  # of the time of the log
FIRST: Final = 10  # items of a newcomer that are asked about
MOST_NEWCOMERS: Final = 2_000
MOST_CHOSEN: Final = 3  # attributes
WEEK_MS: Final = 7 * DAY_MS
BASES: Final = ("sales", "trend")
Float64s = NDArray[np.float64]


class Newcomers(NamedTuple):
    """People whose first event is held back.

    Attributes
    ----------
    train : Log
        What came before all of them.
    profiles : ndarray of shape (n_asked,), dtype int64
    targets : list of n_asked ndarrays, dtype int32
        What each touched first: `FIRST` items, and more where they were one basket.
    weeks : int
        How many are held back.
    """

    train: Log
    profiles: NDArray[np.int64]
    targets: list[NDArray[np.int32]]
    weeks: int


class Learned(NamedTuple):
    """An attribute, what its people met before, and the best items of each value."""

    attribute: Attribute
    met: Met
    items: NDArray[np.int32]


class Choice(NamedTuple):
    """What people without a history are served by, and how it was found."""

    attributes: list[Attribute]  # none: nothing is clearly better than what is popular
    base: str  # the popular list that is better for newcomers
    figures: dict[str, Any]


def choose(
    log: Log, attributes: Sequence[Attribute], *, recipe: Recipe, sale_weight: int
) -> Choice | None:
    """The attributes whose lifts make a popular list better, by more than luck.

    Parameters
    ----------
    log : Log
    attributes : sequence of Attribute
    recipe : Recipe
        Its constants of popularity.
    sale_weight : int
        Events of this weight and more are sales.

    Returns
    -------
    Choice or None
        None where too few newcomers of whom anything is known can be asked.
    """
    asked = find_newcomers(log, attributes)
    if asked is None:
        return None
    popular = Popularity(
        half_life_days=recipe.half_life_days,
        window_days=recipe.window_days,
        tilt=recipe.tilt,
        sale_weight=sale_weight,
    ).fit(asked.train)
    bases: dict[str, Scores] = {"sales": popular.sales_, "trend": popular.trend_}
    usual = {name: each(asked, bases[name], []) for name in BASES}
    base = max(BASES, key=lambda name: float(usual[name].mean()))
    left = learn_each(asked, attributes, bases[base], recipe)
    chosen: list[Learned] = []
    reached = usual[base]
    while left and len(chosen) < MOST_CHOSEN:
        tried = [each(asked, bases[base], [*chosen, one]) for one in left]
        best = max(range(len(left)), key=lambda place: (tried[place].mean(), -place))
        if not is_better(
            tried[best], reached, least_gain=LEAST_GAIN, errors=errors_of(len(attributes))
        ):
            break
        reached = tried[best]
        chosen.append(left.pop(best))
    figures = {
        "newcomers": asked.profiles.size,
        "weeks": asked.weeks,
        "tried": len(attributes),
        "used": [one.attribute.name for one in chosen],
        "base": base,
        FIGURE: float(reached.mean()),
        **{f"{name}_{FIGURE}": float(one.mean()) for name, one in usual.items()},
    }
    return Choice([one.attribute for one in chosen], base, figures)


def errors_of(tries: int) -> float:
    """The standard errors that the best of so many must gain, by Bonferroni."""
    one = 1 - NormalDist().cdf(ERRORS)
    return NormalDist().inv_cdf(1 - one / tries)


def find_newcomers(log: Log, attributes: Sequence[Attribute]) -> Newcomers | None:
    """Those of the fewest weeks that have `ENOUGH` of whom anything is known, else of the most."""
    if not attributes or not len(log):
        return None
    known = np.any([one.code != UNKNOWN for one in attributes], axis=0)
    bounds = log.bounds()
    active = np.flatnonzero(np.diff(bounds))
    came = log.ts_ms[bounds[active]]
    newest, span_ms = int(log.ts_ms.max()), int(np.ptp(log.ts_ms))
    fit = [weeks for weeks in WEEKS if weeks * WEEK_MS <= span_ms * MOST_HELD]
    for weeks in fit:
        since = newest - weeks * WEEK_MS
        new = active[(came > since) & known[active]]
        if new.size >= (LEAST_PROFILES if weeks == fit[-1] else ENOUGH):
            spread = np.linspace(0, new.size - 1, min(new.size, MOST_NEWCOMERS)).astype(np.int64)
            new = new[spread]
            targets = [first_items(log, bounds[one], bounds[one + 1]) for one in new]
            return Newcomers(log.take(log.ts_ms <= since), new, targets, weeks)
    return None


def first_items(log: Log, start: int, end: int) -> NDArray[np.int32]:
    """The first different ones of a profile's events, with all that came at the same moment.

    Inside one basket nothing is first: the order there is that of the ids.
    """
    _, places = np.unique(log.item[start:end], return_index=True)
    places = np.sort(places) + start
    until = log.ts_ms[places[:FIRST][-1]]
    found: NDArray[np.int32] = log.item[places[log.ts_ms[places] <= until]]
    return found


def learn_each(
    asked: Newcomers, attributes: Sequence[Attribute], popular: Scores, recipe: Recipe
) -> list[Learned]:
    once = each_once(asked.train)
    met = [count_met(once, one, half_life_days=recipe.half_life_days) for one in attributes]
    return [
        Learned(attribute, one, candidates(one, popular))
        for attribute, one in zip(attributes, met, strict=True)
    ]


def each(asked: Newcomers, popular: Scores, chosen: Sequence[Learned]) -> Float64s:
    """The figure of everybody who is asked, by a popular list times the lifts of their values."""
    items = best_first(popular)[:K]
    if chosen:
        items = np.unique(np.concatenate([one.items for one in chosen]))
    lifts = [lift(one.met, items) for one in chosen]
    codes = np.array([one.attribute.code[asked.profiles] for one in chosen], np.int64)
    codes = codes.reshape(len(chosen), asked.profiles.size)
    values, which = np.unique(codes, axis=1, return_inverse=True)
    lists = np.full((values.shape[1], K), -1, np.int32)
    for place, rows in enumerate(values.T.tolist()):
        scores = popular[items].astype(np.float64)
        for row, own in zip(rows, lifts, strict=True):
            if row != UNKNOWN:
                scores = scores * own[row]
        best = items[np.lexsort((items, -scores))[:K]]
        lists[place, : best.size] = best
    wanted = np.array([one.size for one in asked.targets])
    return discounted(hits(lists[which.ravel()], asked.targets), wanted, k=K)
