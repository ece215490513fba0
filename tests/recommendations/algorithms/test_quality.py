import math

import numpy as np
import pytest

from recommendations.algorithms.log import matrix
from recommendations.algorithms.quality import diversity, gini, hits, measure
from tests.recommendations.algorithms.logs import log_of

OCCURRENCES = np.array([4, 2, 1, 1, 0])


def figures(lists, targets, k=2):
    rows = [np.array(items, np.int32) for items in targets]
    return measure(np.array(lists, np.int32), rows, occurrences=OCCURRENCES, k=k)


def test_by_hand():
    found = figures([[0, 1], [2, 3]], [[1], [2, 4, 0]])
    second = 1 / math.log2(3)
    assert found == pytest.approx(
        {
            "hr@2": 1.0,
            "ndcg@2": (second + 1 / (1 + second)) / 2,
            "recall@2": (1 + 1 / 3) / 2,
            "mrr@2": (1 / 2 + 1) / 2,
            "coverage@2": 4 / 5,
            "novelty": (1 + 2 + 3 + 3) / 4,
        }
    )


def test_no_hit_is_zero_and_empty_places_hit_nothing():
    found = figures([[-1, -1]], [[3]])
    assert (found["hr@2"], found["ndcg@2"], found["mrr@2"], found["coverage@2"]) == (0, 0, 0, 0)
    assert found["novelty"] == 0


def test_perfect_list_has_ndcg_one():
    assert figures([[0, 1]], [[0, 1, 2]])["ndcg@2"] == 1.0


def test_nobody_to_measure_is_an_error():
    with pytest.raises(ValueError, match="no profile"):
        figures(np.zeros((0, 2)), [])


def test_gini_is_nought_when_all_items_are_shown_alike():
    assert gini(np.array([[0, 1], [2, 3]]), n_items=4) == 0
    assert gini(np.array([[0, 0], [0, -1]]), n_items=4) == pytest.approx(3 / 4)
    assert gini(np.array([[-1, -1]]), n_items=4) == 0


def test_diversity_is_one_minus_the_mean_cosine_of_pairs():
    met = matrix(log_of([0, 1], [0, 1, 2], [2], n_items=4), cap=9)
    half = 1 / 2  # of items 0 and 2: one profile of two and two
    assert diversity(np.array([[0, 1, -1]]), met) == pytest.approx(0)
    assert diversity(np.array([[0, 1, 2]]), met) == pytest.approx(1 - (1 + half + half) / 3)
    assert diversity(np.array([[0, 3], [1, -1]]), met) == pytest.approx(1)


def test_lists_of_one_item_have_no_diversity():
    assert diversity(np.array([[0, -1]]), matrix(log_of([0], n_items=1), cap=9)) == 0


def test_hits_are_those_of_the_obvious_way():
    rng = np.random.default_rng(3)
    lists = np.array([rng.permutation(12)[:5] for _ in range(40)], np.int32)
    lists[rng.random(lists.shape) < 0.2] = -1
    targets = [rng.permutation(12)[: rng.integers(1, 6)].astype(np.int32) for _ in range(40)]
    wanted = [
        [item in set(some.tolist()) for item in row]
        for row, some in zip(lists, targets, strict=True)
    ]
    assert hits(lists, targets).tolist() == wanted
    assert not hits(np.full((2, 3), -1, np.int32), targets[:2]).any()
    assert hits(np.zeros((0, 3), np.int32), []).shape == (0, 3)
