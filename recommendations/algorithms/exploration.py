"""Which source of products to try next, and how likely each product is to be shown.

An *arm* is a source: trending, cold products and so on. Thompson sampling plays each arm as often
as it is likely to be the best one, given what was shown and clicked. Its probabilities are worked
out once per refresh and then held, so that how likely a product was to be shown is an exact figure
and not a second estimate; that is what makes the logs of it usable for other policies (see
`off_policy`).

At an explored place the item that stands there anyway, the incumbent, is replaced with probability
`share`. Then an arm is drawn by its probability, and from it an item, uniformly from its first
ones; an arm that has none leaves the incumbent:

    P(item) = (1 - share) · [item is the incumbent] + share · Σ_arm P(arm) · P(item | arm)

Source: Thompson (1933); Chapelle & Li (2011), "An Empirical Evaluation of Thompson Sampling".
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 20_000  # standard error of a probability: at most 0.0035
PRIOR_SHOWN = 50.0  # showings that what all arms have in common counts as, for each of them
LEAST = 0.02  # probability of each arm: one that is never played can never be judged
Floats = NDArray[np.float64]


def arm_probabilities(
    shown: NDArray[np.int64],
    clicked: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
    least: float = LEAST,
) -> Floats:
    """How likely each arm is to have the highest click rate, but at least `least`.

    Parameters
    ----------
    shown, clicked : ndarray of shape (n_arms,), dtype int64, unit: showings
        ``0 <= clicked <= shown``.
    rng : Generator
        The same state gives the same bits.
    draws : int
        Of the Monte Carlo sum.
    least : float
        Below 1 / n_arms.

    Returns
    -------
    ndarray of shape (n_arms,), dtype float64
        Sums to 1. Each arm's rate has the posterior Beta(a + clicked, b + shown - clicked); the
        prior Beta(a, b) has the rate of all arms together and the weight of 50 showings, so that
        a new arm is tried like an average one, not like one that half of the people click.

    Raises
    ------
    ValueError
        For no arm, clicks that were not shown, or a `least` that leaves nothing to decide.
    """
    arms = shown.size
    if not arms or clicked.shape != shown.shape:
        raise ValueError(f"{arms} arms have {clicked.size} figures of clicks")
    if (clicked < 0).any() or (clicked > shown).any():
        raise ValueError("an arm has more clicks than showings, or fewer than none")
    if draws < 1 or not 0 <= least * arms < 1:
        raise ValueError(f"draws is {draws} and least is {least} for {arms} arms")
    rate = (clicked.sum() + 1) / (shown.sum() + 2)
    a, b = rate * PRIOR_SHOWN, (1 - rate) * PRIOR_SHOWN
    rates = rng.beta(a + clicked, b + shown - clicked, size=(draws, arms))
    best = np.bincount(rates.argmax(axis=1), minlength=arms) / draws
    found: Floats = least + (1 - arms * least) * best
    return found


class Propensity(NamedTuple):
    """How likely an item was to be shown at its place.

    Attributes
    ----------
    p : float
    by_arm : list of float, one per arm
        P(item | arm).
    """

    p: float
    by_arm: list[float]


def propensity(
    item: int,
    offers: Sequence[Sequence[int]],
    probabilities: Sequence[float],
    *,
    share: float,
    incumbent: int,
) -> Propensity:
    """How likely `draw` shows an item.

    Parameters
    ----------
    item : int
    offers : one sequence of items per arm
        Each item at most once in an arm; arms may offer the same one, and the incumbent too.
        An arm that offers nothing leaves the incumbent.
    probabilities : one float per arm, summing to 1
    share : float
        How likely an arm is asked, 0 to 1.
    incumbent : int
        The item that stands there anyway.

    Raises
    ------
    ValueError
        For a share outside 0 to 1, or not one probability per arm.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, expected 0 to 1")
    if len(offers) != len(probabilities):
        raise ValueError(f"{len(offers)} arms have {len(probabilities)} probabilities")
    by_arm = [(item in own) / len(own) if own else float(item == incumbent) for own in offers]
    tried = sum(p * own for p, own in zip(probabilities, by_arm, strict=True))
    return Propensity((1 - share) * (item == incumbent) + share * tried, by_arm)


class Drawn(NamedTuple):
    """What is shown at one place, and the arm it came from; None: the incumbent stayed."""

    item: int
    arm: int | None


def draw(
    offers: Sequence[Sequence[int]],
    probabilities: Sequence[float],
    *,
    share: float,
    incumbent: int,
    rng: np.random.Generator,
) -> Drawn:
    """Draw whether an arm is asked, which, and its item. Arguments as of `propensity`.

    Three numbers of `rng` are used, whatever comes out.
    """
    asked, which, place = rng.random(3).tolist()
    # Sums of fractions may end a hair below 1: what lies beyond is the last arm's.
    arm = min(bisect_right(list(accumulate(probabilities)), which), len(offers) - 1)
    own = offers[arm]
    if asked >= share or not own:
        return Drawn(incumbent, None)
    return Drawn(own[int(place * len(own))], arm)
