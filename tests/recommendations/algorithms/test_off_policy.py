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
    return reward, RUNS[kind, item], ASKED[kind, item], np.arange(n)


def obvious(reward, logged, target, whose, *, clip):
    n = len(reward)
    weights = [min(q / p, clip) for q, p in zip(target, logged, strict=True)]
    terms = [w * r for w, r in zip(weights, reward, strict=True)]
    total = sum(weights)
    ips, snips = sum(terms) / n, sum(terms) / total
    effective = total**2 / sum(w * w for w in weights)
    plain, normalised = {}, {}
    for person, w, r in zip(whose, weights, reward, strict=True):
        plain[person] = plain.get(person, 0) + w * r - ips
        normalised[person] = normalised.get(person, 0) + w * (r - snips)
    many = len(plain) / (len(plain) - 1)
    intervals = []
    for value, sums, size in ((ips, plain, n), (snips, normalised, total)):
        variance = many * sum(one**2 for one in sums.values()) / size**2
        like = min(effective, value * (1 - value) / variance)
        found = wilson(value, like)
        intervals.append((value, *found))
    return *intervals, effective


def wilson(share, n, z=1.959964):
    """Where the score test of a rate does not refuse it: the roots of a quadratic equation."""
    a, b, c = 1 + z * z / n, -(2 * share + z * z / n), share * share
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@pytest.mark.parametrize("clip", [math.inf, 2.0])
@pytest.mark.parametrize("people", [2_000, 150])
def test_figures_are_those_of_the_obvious_loop(clip, people):
    reward, logged, target, _ = logs(1)
    whose = np.random.default_rng(1).integers(0, people, reward.size)
    found = estimate(reward, logged, target, whose, clip=clip)
    given = (array.tolist() for array in (reward, logged, target, whose))
    ips, snips, effective = obvious(*given, clip=clip)
    assert found.ips == pytest.approx(ips)
    assert found.snips == pytest.approx(snips)
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


# A rare arm beside what stands there: how likely, and how often people who open click it.
ARM, BESIDE = (0.02, 0.05), (0.98, 0.15)


def rare(seed, *, people, each):
    """A fifth of the people open anything; the arm is asked about, that hardly ever ran."""
    rng = np.random.default_rng(seed)
    whose = np.repeat(np.arange(people), each)
    opens = (rng.random(people) < 0.2)[whose]
    arm = rng.random(whose.size) < ARM[0]
    reward = opens & (rng.random(whose.size) < np.where(arm, ARM[1], BESIDE[1]))
    logged = np.where(arm, ARM[0], BESIDE[0])
    return reward.astype(float), logged, arm.astype(float), whose


@pytest.mark.parametrize(("people", "each"), [(200, 50), (2_000, 10), (2_000, 1)])
@pytest.mark.parametrize("name", ["ips", "snips"])
def test_intervals_hold_the_truth_for_many_messages_of_one_and_for_no_click(people, each, name):
    """An arm of a rate of 1 % that was shown 40 to 400 times, and the list beside it."""
    held_arm, held_list = [], []
    for seed in range(300):
        reward, logged, arm, whose = rare(seed, people=people, each=each)
        for target, rate, held in ((arm, ARM[1], held_arm), (1 - arm, BESIDE[1], held_list)):
            found = getattr(estimate(reward, logged, target, whose), name)
            held.append(found.low <= 0.2 * rate <= found.high)
    assert np.mean(held_arm) >= 0.92
    assert np.mean(held_list) >= 0.92


def test_a_policy_without_a_click_may_still_have_a_rate():
    found = estimate(np.zeros(100), np.full(100, 0.5), np.full(100, 0.5), np.arange(100))
    assert (found.snips.value, found.snips.low) == (0.0, 0.0)
    assert found.snips.high == pytest.approx(3.84 / 103.84, abs=1e-4)  # near the rule of three


def test_who_is_the_only_one_says_nothing_of_others():
    found = estimate(np.array([1, 0.0]), np.ones(2), np.ones(2), np.zeros(2, np.int64))
    assert found.ips == (0.5, 0.0, 1.0)
    assert found.snips == (0.5, 0.0, 1.0)


def test_what_was_logged_itself_is_its_own_mean():
    reward, logged, _, whose = logs(2)
    found = estimate(reward, logged, logged, whose)
    assert found.ips.value == pytest.approx(reward.mean())
    assert found.snips.value == pytest.approx(reward.mean())
    assert (found.effective, found.clipped) == (2_000.0, 0)


def test_self_normalised_moves_with_the_reward():
    """Every reward a half higher is a half more; plain scoring only does so on average."""
    reward, *rest = logs(3)
    before, after = estimate(reward / 2, *rest), estimate(reward / 2 + 0.5, *rest)
    assert after.snips.value - before.snips.value == pytest.approx(0.5)
    assert after.ips.value - before.ips.value != pytest.approx(0.5, abs=1e-6)


def test_clipping_bounds_the_weights_and_says_how_many():
    reward, logged = np.ones(4), np.array([0.001, 0.5, 0.5, 0.5])
    target, whose = np.full(4, 0.5), np.arange(4)
    found = estimate(reward, logged, target, whose, clip=10)
    assert found.ips.value == (10 + 3) / 4
    assert found.clipped == 1
    assert estimate(reward, logged, target, whose).ips.value == (500 + 3) / 4


def test_a_policy_that_shows_nothing_of_what_was_shown_is_not_known():
    found = estimate(np.ones(5), np.full(5, 0.5), np.zeros(5), np.arange(5))
    assert (found.ips, found.effective) == ((0.0, 0.0, 1.0), 0.0)
    assert math.isnan(found.snips.value)


def test_one_decision_tells_no_interval():
    found = estimate(np.ones(1), np.ones(1), np.ones(1), np.zeros(1, np.int64))
    assert found.ips == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logged": [0.5, 0.0]}, "logged propensity 1 is 0.0, expected above 0, at most 1"),
        ({"logged": [1.5, 0.5]}, "logged propensity 0 is 1.5"),
        ({"logged": [0.5, math.nan]}, "logged propensity 1 is nan"),
        ({"target": [0.5, -0.1]}, "target propensity 1 is -0.1, expected 0 to 1"),
        ({"target": [0.5]}, "shapes differ"),
        ({"reward": [math.nan, 0]}, "reward 0 is nan, expected 0 to 1"),
        ({"reward": [0, 2.0]}, "reward 1 is 2.0"),
        ({"whose": [1]}, "shapes differ"),
        ({"reward": [], "logged": [], "target": [], "whose": []}, "nothing was logged"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"level": 1.0}, "level is 1.0"),
    ],
)
def test_impossible_logs_are_refused(change, words):
    given = {
        "reward": [1, 0],
        "logged": [0.5, 0.5],
        "target": [0.5, 0.5],
        "whose": [1, 2],
    } | change
    arrays = {
        name: np.array(value, float) if isinstance(value, list) else value
        for name, value in given.items()
    }
    with pytest.raises(ValueError, match=words):
        estimate(**arrays)
