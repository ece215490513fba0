"""Boosted trees as arrays, against scikit-learn and against a walk in plain Python."""

import math

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from recommendations.algorithms.clicks import read_classifier
from recommendations.algorithms.trees import LEAF, check, probabilities


def make_data(*, rows=3_000, features=6, seed=1):
    rng = np.random.default_rng(seed)
    table = np.rint(rng.normal(0, 1_000, (rows, features)))
    table[rng.random(table.shape) < 0.2] = np.nan
    odds = np.where(np.isnan(table[:, 0]), 1.0, table[:, 0] / 1_000) - (table[:, 1] > 300)
    return table, rng.random(rows) < 1 / (1 + np.exp(-odds))


def learn(table, wanted, **options):
    return HistGradientBoostingClassifier(
        **({"max_iter": 20, "early_stopping": False} | options)
    ).fit(table, wanted)


def walked(trees, row):
    """One row, one tree after the other, one node after the other."""
    total = trees.baseline[0]
    for root in trees.roots:
        node = root
        while trees.feature[node] != LEAF:
            cell = row[trees.feature[node]]
            if math.isnan(cell):
                go_left = trees.missing_left[node] == 1
            else:
                go_left = cell <= trees.threshold[node]
            node = trees.left[node] if go_left else trees.right[node]
        total += trees.value[node]
    return 1 / (1 + math.exp(-total))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("use_numba", [True, False])
def test_probabilities_are_those_of_the_library_bit_for_bit(seed, use_numba):
    table, wanted = make_data(seed=seed)
    learned = learn(table, wanted, max_leaf_nodes=2 + 7 * seed)
    others, _ = make_data(rows=500, seed=100 + seed)
    others[0], others[1] = np.nan, np.inf
    found = probabilities(read_classifier(learned), others, use_numba=use_numba)
    np.testing.assert_array_equal(found, learned.predict_proba(others)[:, 1])


def test_the_obvious_walk_comes_to_the_same():
    table, wanted = make_data()
    trees = read_classifier(learn(table, wanted))
    expected = [walked(trees, row) for row in table[:300]]
    np.testing.assert_allclose(probabilities(trees, table[:300]), expected, atol=1e-12, rtol=0)


def test_nothing_to_tell_apart_is_the_share_of_the_class():
    table = np.zeros((1_000, 2))
    trees = read_classifier(learn(table, np.arange(1_000) < 20))
    np.testing.assert_allclose(probabilities(trees, table), 0.02, atol=1e-12)
    assert probabilities(trees, table[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("left", lambda array: np.zeros_like(array), "left does not lead down"),
        ("right", lambda array: array + 10_000, "right does not lead down"),
        ("roots", lambda array: array - 1, "roots name nodes"),
        ("feature", lambda array: np.full_like(array, 6), "feature names columns"),
        ("value", lambda array: array * np.nan, "value is not a number"),
        ("baseline", lambda array: np.repeat(array, 2), "not one baseline"),
    ],
)
def test_trees_that_would_lead_astray_are_refused(name, change, words):
    table, wanted = make_data()
    trees = read_classifier(learn(table, wanted))
    check(trees, n_features=6)
    with pytest.raises(ValueError, match=words):
        check(trees._replace(**{name: change(getattr(trees, name))}), n_features=6)
