"""What another policy would have earned, from the logs of the one that ran.

Inverse propensity scoring: each logged reward counts as often as the other policy would have shown
the item, over how often the one that ran did. That is unbiased as long as the logged propensities
are right and nothing that the other policy shows had propensity 0. Self-normalised, the sum is
divided by the sum of the weights instead of their expected sum: a little biased, far steadier.

Errors are cluster-robust: one person decides many times, and who never opens a message never
clicks. Intervals are Wilson's, with as many decisions as would have that error by chance alone,
because clicks are few: where there was none, a normal interval is nothing wide.

Source: Horvitz & Thompson (1952); Swaminathan & Joachims (2015), "The Self-Normalized Estimator
for Counterfactual Learning"; Liang & Zeger (1986) for errors by cluster; Franco, Little, Louis &
Slud (2019), "Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys",
for the interval.
"""

from math import inf, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

LEVEL = 0.95
Floats = NDArray[np.float64]


class Interval(NamedTuple):
    value: float
    low: float
    high: float


class Estimate(NamedTuple):
    """What a policy would have earned per decision.

    Attributes
    ----------
    ips, snips : Interval
        The plain figure may come out above 1, its interval does not. NaN for a `snips` without
        any weight.
    effective : float, unit: decisions
        (Σw)² / Σw²: how many decisions of the policy itself would tell as much.
    decisions : int
    clipped : int, unit: decisions
        Whose weight was cut; each makes both figures too small by what was cut.
    """

    ips: Interval
    snips: Interval
    effective: float
    decisions: int
    clipped: int


def estimate(
    reward: Floats,
    logged: Floats,
    target: Floats,
    whose: NDArray[np.int64],
    *,
    clip: float = inf,
    level: float = LEVEL,
) -> Estimate:
    """Inverse propensity scoring, plain and self-normalised.

    Parameters
    ----------
    reward : ndarray of shape (n,), dtype float64
        Of each logged decision, 0 to 1; 1 and 0 for clicked or not.
    logged : ndarray of shape (n,), dtype float64
        How likely the policy that ran was to decide so: above 0, at most 1.
    target : ndarray of shape (n,), dtype float64
        How likely the other policy is to decide so, 0 to 1.
    whose : ndarray of shape (n,), dtype int64
        The person each decision was about.
    clip : float
        The largest weight target / logged. A finite one trades noise for bias.
    level : float
        Of the intervals.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If nothing was logged, shapes differ, a reward or a propensity is out of its bounds (the
        first one is named), or clip or level make no sense.
    """
    check(reward, logged, target, whose, clip=clip, level=level)
    weights = target / logged
    clipped = int((weights > clip).sum())
    weights = np.minimum(weights, clip)
    n, total = weights.size, float(weights.sum())
    z = float(norm.ppf((1 + level) / 2))
    terms = weights * reward
    effective = total**2 / float(np.square(weights).sum()) if total else 0.0
    ips = float(terms.mean())
    plain = interval(ips, error_of(terms - ips, whose) / n, effective, z=z)
    if total:
        snips = float(terms.sum()) / total
        # The delta method: a ratio's error is that of its residuals.
        error = error_of(weights * (reward - snips), whose) / total
        normalised = interval(snips, error, effective, z=z)
    else:
        normalised = Interval(nan, nan, nan)
    return Estimate(plain, normalised, effective, n, clipped)


def error_of(residuals: Floats, whose: NDArray[np.int64]) -> float:
    """The standard error of the sum; infinite for one person, who says nothing of others."""
    people, place = np.unique(whose, return_inverse=True)
    if people.size < 2:
        return inf
    sums = np.bincount(place, residuals)
    return float(np.sqrt(np.square(sums).sum() * people.size / (people.size - 1)))


def interval(value: float, error: float, effective: float, *, z: float) -> Interval:
    """Wilson's; from 0 to 1 where nothing is known."""
    share = min(value, 1.0)
    spread = share * (1 - share)
    n = min(effective, spread / error**2) if error else effective
    middle = (n * share + z**2 / 2) / (n + z**2)
    half = z * (n * spread + z**2 / 4) ** 0.5 / (n + z**2)
    return Interval(value, max(middle - half, 0.0), min(middle + half, 1.0))


def check(
    reward: Floats,
    logged: Floats,
    target: Floats,
    whose: NDArray[np.int64],
    *,
    clip: float,
    level: float,
) -> None:
    if not reward.size:
        raise ValueError("nothing was logged")
    shapes = [array.shape for array in (reward, logged, target, whose)]
    if len(set(shapes)) > 1 or reward.ndim != 1:
        raise ValueError(f"shapes differ: {', '.join(map(str, shapes))}")
    for name, values, fits, bounds in (
        ("reward", reward, (reward >= 0) & (reward <= 1), "0 to 1"),
        ("logged propensity", logged, (logged > 0) & (logged <= 1), "above 0, at most 1"),
        ("target propensity", target, (target >= 0) & (target <= 1), "0 to 1"),
    ):
        if not fits.all():
            at = int(np.argmin(fits))
            raise ValueError(f"{name} {at} is {values[at]}, expected {bounds}")
    if not clip > 0 or not 0 < level < 1:
        raise ValueError(f"clip is {clip} and level is {level}")
