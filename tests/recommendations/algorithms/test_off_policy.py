import math

import numpy as np
import pytest

from recommendations.algorithms.off_policy import estimate

# Three items, two kinds of people: how likely each is clicked, shown by the policy that runs, and
# by the one that is asked about.
CLICKED = np.array([[0.10, 0.30, 0.05], [0.25, 0.02, 0.15]])
RUNS = np.array([[0.70, 0.20, 0.10], [0.50, 0.30, 0.20]])
ASKED = np.array([[0.10, 0.80, 0.10], [0.60, 0.00, 0.40]])
TRUTH = float((ASKED * CLICKED).sum(axis=1).mean())


def logs(seed, *, n=2_000):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    item = (rng.random(n)[:, None] > np.cumsum(RUNS, axis=1)[kind]).sum(axis=1)
    reward = (rng.random(n) < CLICKED[kind, item]).astype(float)
    return reward, RUNS[kind, item], ASKED[kind, item]


def obvious(reward, logged, target, *, clip):
    n = len(reward)
    weights = [min(q / p, clip) for q, p in zip(target, logged, strict=True)]
    terms = [w * r for w, r in zip(weights, reward, strict=True)]
    ips = sum(terms) / n
    spread = math.sqrt(sum((term - ips) ** 2 for term in terms) / (n - 1) / n)
    total = sum(weights)
    snips = sum(terms) / total
    residuals = sum((w * (r - snips)) ** 2 for w, r in zip(weights, reward, strict=True))
    width = math.sqrt(residuals) / total
    effective = total**2 / sum(w * w for w in weights)
    return ips, 1.959964 * spread, snips, 1.959964 * width, effective


@pytest.mark.parametrize("clip", [100.0, 2.0])
def test_figures_are_those_of_the_obvious_loop(clip):
    reward, logged, target = logs(1)
    found = estimate(reward, logged, target, clip=clip)
    ips, ips_width, snips, snips_width, effective = obvious(
        reward.tolist(), logged.tolist(), target.tolist(), clip=clip
    )
    assert found.ips == pytest.approx((ips, ips - ips_width, ips + ips_width))
    assert found.snips == pytest.approx((snips, snips - snips_width, snips + snips_width))
    assert found.effective == pytest.approx(effective)
    assert found.decisions == 2_000
    assert found.clipped == int((target / logged > clip).sum())


@pytest.fixture(scope="module")
def worlds():
    return [estimate(*logs(seed)) for seed in range(1_000)]


@pytest.mark.parametrize("name", ["ips", "snips"])
def test_over_many_worlds_the_mean_is_the_truth(worlds, name):
    values = np.array([getattr(world, name).value for world in worlds])
    assert values.mean() == pytest.approx(TRUTH, abs=3 * values.std() / len(values) ** 0.5)


@pytest.mark.parametrize("name", ["ips", "snips"])
def test_nineteen_of_twenty_intervals_hold_the_truth(worlds, name):
    held = [getattr(w, name).low <= TRUTH <= getattr(w, name).high for w in worlds]
    assert 0.935 <= np.mean(held) <= 0.965


def test_what_was_logged_itself_is_its_own_mean():
    reward, logged, _ = logs(2)
    found = estimate(reward, logged, logged)
    assert found.ips.value == pytest.approx(reward.mean())
    assert found.snips.value == pytest.approx(reward.mean())
    assert (found.effective, found.clipped) == (2_000.0, 0)


def test_self_normalised_moves_with_the_reward():
    """Every reward one higher is one more; plain scoring only does so on average."""
    reward, logged, target = logs(3)
    before, after = estimate(reward, logged, target), estimate(reward + 1, logged, target)
    assert after.snips.value - before.snips.value == pytest.approx(1)
    assert after.ips.value - before.ips.value != pytest.approx(1, abs=1e-6)


def test_clipping_bounds_the_weights_and_says_how_many():
    reward, logged = np.ones(4), np.array([0.001, 0.5, 0.5, 0.5])
    found = estimate(reward, logged, np.full(4, 0.5), clip=10)
    assert found.ips.value == (10 + 3) / 4
    assert found.clipped == 1
    assert estimate(reward, logged, np.full(4, 0.5), clip=math.inf).ips.value == (500 + 3) / 4


def test_a_policy_that_shows_nothing_of_what_was_shown_is_not_known():
    found = estimate(np.ones(5), np.full(5, 0.5), np.zeros(5))
    assert (found.ips.value, found.effective) == (0.0, 0.0)
    assert math.isnan(found.snips.value)


def test_one_decision_tells_no_interval():
    found = estimate(np.ones(1), np.ones(1), np.ones(1))
    assert (found.ips.value, found.ips.high) == (1.0, math.inf)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logged": [0.5, 0.0]}, "logged propensity 1 is 0.0, expected above 0, at most 1"),
        ({"logged": [1.5, 0.5]}, "logged propensity 0 is 1.5"),
        ({"logged": [0.5, math.nan]}, "logged propensity 1 is nan"),
        ({"target": [0.5, -0.1]}, "target propensity 1 is -0.1, expected 0 to 1"),
        ({"target": [0.5]}, "shapes differ"),
        ({"reward": [math.inf, 0]}, "a reward is not finite"),
        ({"reward": [], "logged": [], "target": []}, "nothing was logged"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"level": 1.0}, "level is 1.0"),
    ],
)
def test_impossible_logs_are_refused(change, words):
    given = {"reward": [1, 0], "logged": [0.5, 0.5], "target": [0.5, 0.5]} | change
    arrays = {
        name: np.array(value, float) if isinstance(value, list) else value
        for name, value in given.items()
    }
    with pytest.raises(ValueError, match=words):
        estimate(**arrays)
