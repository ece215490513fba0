from collections import Counter

import numpy as np
import pytest

from recommendations.algorithms.exploration import PRIOR_SHOWN, arm_probabilities, draw, propensity


def counts(*pairs):
    shown, clicked = np.array(pairs, np.int64).T
    return shown, clicked


def probabilities(*pairs, seed=1, **options):
    return arm_probabilities(*counts(*pairs), rng=np.random.default_rng(seed), **options)


def obvious(shown, clicked, *, seed, draws):
    """One draw after the other."""
    rng = np.random.default_rng(seed)
    rate = (sum(clicked) + 1) / (sum(shown) + 2)
    wins = [0] * len(shown)
    for _ in range(draws):
        rates = [
            rng.beta(rate * PRIOR_SHOWN + clicks, (1 - rate) * PRIOR_SHOWN + shows - clicks)
            for shows, clicks in zip(shown, clicked, strict=True)
        ]
        wins[rates.index(max(rates))] += 1
    return [count / draws for count in wins]


def test_probabilities_are_those_of_the_obvious_loop():
    pairs = [(100, 9), (80, 4), (0, 0)]
    found = probabilities(*pairs, seed=7, draws=500, least=0)
    shown, clicked = (column.tolist() for column in counts(*pairs))
    assert found.tolist() == obvious(shown, clicked, seed=7, draws=500)


def test_of_two_equals_each_is_played_half_of_the_time():
    assert probabilities((1_000, 20), (1_000, 20)) == pytest.approx([0.5, 0.5], abs=0.02)


def test_probability_is_that_of_the_integral():
    """P(X > Y) of two Beta posteriors on a fine grid, without any draw."""
    from scipy.stats import beta

    shown, clicked = counts((200, 12), (300, 12))
    rate = 25 / 502
    a, b = (
        beta(rate * PRIOR_SHOWN + c, (1 - rate) * PRIOR_SHOWN + s - c)
        for s, c in zip(shown, clicked, strict=True)
    )
    grid = np.linspace(0, 0.3, 30_001)
    exact = np.trapezoid(a.pdf(grid) * b.cdf(grid), grid)
    assert probabilities((200, 12), (300, 12), least=0)[0] == pytest.approx(exact, abs=0.012)


def test_the_better_arm_is_played_most_and_the_worse_one_not_never():
    found = probabilities((10_000, 500), (10_000, 100))
    assert found.tolist() == pytest.approx([0.98, 0.02])


def test_a_new_arm_is_tried_but_not_as_one_that_half_of_the_people_click():
    found = probabilities((10_000, 300), (10_000, 200), (0, 0))
    assert 0.05 < found[2] < 0.5


def test_same_seed_same_bits_and_they_sum_to_one():
    pairs = [(50, 3), (20, 2), (7, 0)]
    assert probabilities(*pairs).tobytes() == probabilities(*pairs).tobytes()
    assert probabilities(*pairs).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("pairs", "options", "words"),
    [
        ([(1, 2)], {}, "more clicks than showings"),
        ([(1, -1)], {}, "fewer than none"),
        ([(1, 1)], {"draws": 0}, "draws is 0"),
        ([(1, 1), (1, 1)], {"least": 0.5}, "least is 0.5 for 2 arms"),
    ],
)
def test_impossible_figures_are_refused(pairs, options, words):
    with pytest.raises(ValueError, match=words):
        probabilities(*pairs, **options)
    with pytest.raises(ValueError, match="0 arms"):
        arm_probabilities(*np.zeros((2, 0), np.int64), rng=np.random.default_rng(1))


OFFERS = [[3, 1], [1, 7, 9, 5], [], [4]]
ARMS = [0.5, 0.25, 0.2, 0.05]


def distribution(offers=OFFERS, arms=ARMS, *, share=0.4, incumbent=4):
    """The propensity of every item that can be shown."""
    items = sorted({incumbent, *(item for own in offers for item in own)})
    return {
        item: propensity(item, offers, arms, share=share, incumbent=incumbent) for item in items
    }


def test_propensity_of_an_item_is_the_sum_over_its_arms():
    assert {item: found.p for item, found in distribution().items()} == pytest.approx(
        {
            1: 0.4 * (0.5 / 2 + 0.25 / 4),
            3: 0.4 * 0.5 / 2,
            4: 0.4 * (0.2 + 0.05) + 0.6,  # of the arm that has nothing, of its own, and anyway
            **dict.fromkeys((5, 7, 9), 0.4 * 0.25 / 4),
        }
    )
    assert distribution()[1].by_arm == [0.5, 0.25, 0.0, 0.0]
    assert distribution()[4].by_arm == [0.0, 0.0, 1.0, 1.0]
    assert propensity(8, OFFERS, ARMS, share=0.4, incumbent=4).p == 0


def obvious_sum(offers, arms, *, share, incumbent):
    found = Counter({incumbent: 1 - share})
    for own, p in zip(offers, arms, strict=True):
        for item in own or [incumbent]:
            found[item] += share * p / len(own or [incumbent])
    return dict(found)


@pytest.mark.parametrize("seed", range(10))
def test_propensities_are_those_of_the_obvious_sum_and_sum_to_one(seed):
    rng = np.random.default_rng(seed)
    offers = [rng.choice(12, rng.integers(0, 6), replace=False).tolist() for _ in range(4)]
    arms, incumbent = rng.dirichlet(np.ones(4)).tolist(), int(rng.integers(12))
    found = {
        item: one.p
        for item, one in distribution(offers, arms, share=0.3, incumbent=incumbent).items()
    }
    assert found == pytest.approx(obvious_sum(offers, arms, share=0.3, incumbent=incumbent))
    assert sum(found.values()) == pytest.approx(1)


def test_what_is_drawn_has_the_probability_that_is_logged():
    rng = np.random.default_rng(5)
    times = 40_000
    drawn = Counter(draw(OFFERS, ARMS, share=0.4, incumbent=4, rng=rng).item for _ in range(times))
    for item, (p, _) in distribution().items():
        assert drawn[item] / times == pytest.approx(p, abs=4 * (p * (1 - p) / times) ** 0.5)


def test_arms_are_drawn_by_their_probability_and_the_empty_one_never():
    rng = np.random.default_rng(6)
    drawn = Counter(draw(OFFERS, ARMS, share=1, incumbent=2, rng=rng).arm for _ in range(20_000))
    assert drawn.keys() == {0, 1, 3, None}  # None: the third one, which has nothing
    for arm, p in ((0, 0.5), (1, 0.25), (None, 0.2), (3, 0.05)):
        assert drawn[arm] / 20_000 == pytest.approx(p, abs=0.015)


@pytest.mark.parametrize(("offers", "share"), [(OFFERS, 0.0), ([[], [], [], []], 0.5)])
def test_without_a_share_or_an_offer_the_incumbent_stays(offers, share):
    assert propensity(2, offers, ARMS, share=share, incumbent=2).p == pytest.approx(1)
    rng = np.random.default_rng(1)
    assert {draw(offers, ARMS, share=share, incumbent=2, rng=rng) for _ in range(50)} == {
        (2, None)
    }


def test_a_share_beyond_its_bounds_is_refused():
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        propensity(3, OFFERS, ARMS, share=1.5, incumbent=2)
    with pytest.raises(ValueError, match="3 arms have 4 probabilities"):
        propensity(3, OFFERS[:3], ARMS, share=0.5, incumbent=2)
