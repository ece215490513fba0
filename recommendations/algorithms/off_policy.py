"""What another policy would have earned, from the logs of the one that ran.

Inverse propensity scoring: each logged reward counts as often as the other policy would have shown
the item, over how often the one that ran did. That is unbiased as long as the logged propensities
are right and nothing that the other policy shows had propensity 0. Self-normalised, the sum is
divided by the sum of the weights instead of their expected sum: a little biased, far steadier.

Source: Horvitz & Thompson (1952); Swaminathan & Joachims (2015), "The Self-Normalized Estimator
for Counterfactual Learning"; Owen (2013), "Monte Carlo theory, methods and examples", chapter 9.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

LEVEL = 0.95
CLIP = 100.0  # the largest weight
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
        Normal intervals; they need some dozens of rewards of either kind. NaN for a `snips`
        without any weight.
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
    reward: Floats, logged: Floats, target: Floats, *, clip: float = CLIP, level: float = LEVEL
) -> Estimate:
    """Inverse propensity scoring, plain and self-normalised.

    Parameters
    ----------
    reward : ndarray of shape (n,), dtype float64
        Of each logged decision; 1 and 0 for clicked or not.
    logged : ndarray of shape (n,), dtype float64
        How likely the policy that ran was to decide so: above 0, at most 1.
    target : ndarray of shape (n,), dtype float64
        How likely the other policy is to decide so, 0 to 1.
    clip : float
        The largest weight target / logged; infinity for none. A lower one trades noise for bias.
    level : float
        Of the intervals.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If nothing was logged, shapes differ, a figure is not finite, a propensity is out of its
        bounds (the first one is named), or clip or level make no sense.

    Decisions are taken as independent. Many of one person are not: then intervals are too narrow.
    """
    check(reward, logged, target, clip=clip, level=level)
    weights = target / logged
    clipped = int((weights > clip).sum())
    weights = np.minimum(weights, clip)
    n, total = weights.size, float(weights.sum())
    z = float(norm.ppf((1 + level) / 2))
    terms = weights * reward
    ips = float(terms.mean())
    error = float(terms.std(ddof=1)) / n**0.5 if n > 1 else float("inf")
    if total > 0:
        snips = float(terms.sum()) / total
        # The delta method: a ratio's error is that of its residuals.
        snips_error = float(np.sqrt(np.square(weights * (reward - snips)).sum())) / total
        effective = total**2 / float(np.square(weights).sum())
    else:
        snips = snips_error = float("nan")
        effective = 0.0
    return Estimate(
        Interval(ips, ips - z * error, ips + z * error),
        Interval(snips, snips - z * snips_error, snips + z * snips_error),
        effective,
        n,
        clipped,
    )


def check(reward: Floats, logged: Floats, target: Floats, *, clip: float, level: float) -> None:
    if not reward.size:
        raise ValueError("nothing was logged")
    if not reward.shape == logged.shape == target.shape or reward.ndim != 1:
        raise ValueError(f"shapes differ: {reward.shape}, {logged.shape}, {target.shape}")
    if not np.isfinite(reward).all():
        raise ValueError("a reward is not finite")
    for name, values, fits in (
        ("logged", logged, (logged > 0) & (logged <= 1)),
        ("target", target, (target >= 0) & (target <= 1)),
    ):
        if not fits.all():
            at = int(np.argmin(fits))
            bounds = "above 0, at most 1" if name == "logged" else "0 to 1"
            raise ValueError(f"{name} propensity {at} is {values[at]}, expected {bounds}")
    if not clip > 0 or not 0 < level < 1:
        raise ValueError(f"clip is {clip} and level is {level}")
