import numpy as np
import pytest

from recommendations.algorithms.blending import Blend, find_weights, gather, on_own_scale
from recommendations.algorithms.quality import measure
from recommendations.algorithms.trial import Trial, marked
from tests.recommendations.algorithms.logs import ask, log_of

N_ITEMS = 4


class Fixed:
    """Says the same to everybody; counts how often it learned."""

    def __init__(self, *scores: float) -> None:
        self.scores = np.array(scores, np.float32)
        self.fitted = 0

    def fit(self, log):
        self.fitted += 1
        return self

    def score(self, asked):
        return np.tile(self.scores, (len(asked), 1))


def trial(*targets: int, hidden=None) -> Trial:
    paths = [[0]] * len(targets)
    wanted = marked(np.arange(len(targets)), np.array(targets), shape=(len(targets), N_ITEMS))
    return Trial(log_of(*paths, n_items=N_ITEMS), ask(*paths, n_items=N_ITEMS), wanted, hidden)


def test_a_source_speaks_on_its_own_scale_without_what_is_hidden():
    hidden = marked(np.array([0]), np.array([0]), shape=(2, 2))
    scores = on_own_scale(np.array([[8, 2], [4, 1]], np.float32), hidden)
    assert scores.tolist() == [[0, 1], [1, 0.25]]


def test_no_opinion_stays_none():
    assert on_own_scale(np.zeros((1, 2), np.float32), None).tolist() == [[0, 0]]


def test_the_blend_is_the_weighted_sum():
    blend = Blend({"a": Fixed(4, 2, 0, 0), "b": Fixed(0, 1, 1, 0)}, {"a": 1.0, "b": 0.6})
    assert blend.score(ask([], n_items=N_ITEMS), None) == pytest.approx(
        np.array([[1, 1.1, 0.6, 0]])
    )
    assert blend.lists(ask([], n_items=N_ITEMS), None, n=4).tolist() == [[1, 0, 2, -1]]


def test_a_source_of_weight_nought_is_neither_fitted_nor_asked():
    silent = Fixed(1, 1, 1, 1)
    blend = Blend({"a": Fixed(1, 0, 0, 0), "b": silent}, {"a": 1.0, "b": 0.0})
    blend.fit(log_of([0], n_items=N_ITEMS))
    assert (list(blend.sources), silent.fitted) == (["a"], 0)


def test_the_search_judges_as_the_measure_does():
    asked = trial(1, 2, 3, 3)
    sources = {"a": Fixed(4, 3, 2, 1), "b": Fixed(0, 0, 1, 9)}
    found = gather(sources, asked, k=2)
    for weights in ({"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 1.0}, {"a": 0.0, "b": 1.0}):
        lists = Blend(sources, weights).lists(asked.asked, None, n=2)
        wanted = measure(lists, asked.wanted(), occurrences=np.ones(N_ITEMS, int), k=2)["ndcg@2"]
        assert found.ndcg(weights) == pytest.approx(wanted)


def test_the_search_finds_who_knows():
    asked = trial(3, 3, 2)
    sources = {"wrong": Fixed(4, 3, 0, 0), "right": Fixed(0, 0, 1, 2)}
    weights, reached = find_weights(gather(sources, asked, k=1), {"wrong": 1.0, "right": 0.5})
    assert reached == pytest.approx(2 / 3)
    assert weights["right"] > weights["wrong"]


def test_a_search_without_gain_keeps_the_start():
    start = {"a": 0.5}
    assert find_weights(gather({"a": Fixed(1, 0, 0, 0)}, trial(0), k=1), start) == (start, 1.0)


def test_what_is_hidden_is_no_candidate():
    hidden = marked(np.array([0]), np.array([3]), shape=(1, N_ITEMS))
    found = gather({"a": Fixed(0, 0, 1, 9)}, trial(2, hidden=hidden), k=1)
    assert (found.items.tolist(), found.ndcg({"a": 1.0})) == ([[2]], 1.0)
