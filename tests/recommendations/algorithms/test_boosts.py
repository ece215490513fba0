import numpy as np
import pytest

from recommendations.algorithms.blending import Blend, find_weights, gather
from recommendations.algorithms.sources import Boost
from recommendations.algorithms.trial import Trial, marked

from .sources.histories import asked_at, log_of


class Fixed:
    """The same scores for everybody."""

    def __init__(self, scores):
        self.scores = np.array(scores, np.float32)

    def fit(self, log):
        return self

    def score(self, asked):
        return np.tile(self.scores, (len(asked), 1))


class FixedBoost(Fixed, Boost):
    pass


PEOPLE = asked_at(0, [(0, 3, 0), (1, 3, 0)])


def test_blend_is_multiplied_by_the_factors_to_the_power_of_the_weight():
    sources = {"a": Fixed([4, 2, 1, 0]), "rise": FixedBoost([1, 4, 0.25, 9])}
    blend = Blend(sources, {"a": 2, "rise": 0.5})
    assert blend.score(PEOPLE, None).tolist() == [[2, 2, 0.25, 0]] * 2


def test_boost_without_weight_leaves_the_sum():
    blend = Blend({"a": Fixed([4, 2, 1, 0]), "rise": FixedBoost([0, 0, 0, 0])}, {"a": 1})
    assert blend.score(PEOPLE, None).tolist() == [[1, 0.5, 0.25, 0]] * 2


@pytest.fixture
def rising():
    """The target stands third by its score, first by its rise."""
    targets = marked(np.arange(2), np.array([2, 2]), shape=(2, 4))
    return Trial(log_of([(0, 3, 0), (1, 3, 0)]), PEOPLE, targets, None)


def test_power_is_found_with_the_weights(rising):
    sources = {"a": Fixed([4, 3, 2, 1]), "rise": FixedBoost([1, 1, 3, 1])}
    candidates = gather(sources, rising, k=2)
    assert candidates.ndcg({"a": 1}) == 0
    weights, best = find_weights(candidates, {"a": 1.0})
    assert (best, weights["a"]) == (1.0, 1.0)
    assert 0 < weights["rise"] <= 1


def test_candidates_say_what_the_blend_says(rising):
    sources = {"a": Fixed([4, 3, 2, 1]), "rise": FixedBoost([1, 1, 1.4, 1])}
    lists = Blend(sources, {"a": 1, "rise": 1.0}).lists(PEOPLE, None, n=2)
    assert lists.tolist() == [[0, 1]] * 2
    lists = Blend(sources, {"a": 1, "rise": 1.5}).lists(PEOPLE, None, n=2)
    assert lists.tolist() == [[0, 2]] * 2
    candidates = gather(sources, rising, k=2)
    assert candidates.ndcg({"a": 1, "rise": 1.0}) == 0
    assert candidates.ndcg({"a": 1, "rise": 1.5}) == pytest.approx(1 / np.log2(3))
