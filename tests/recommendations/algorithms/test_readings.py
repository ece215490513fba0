"""What goes with an item, read from dense models: against the model itself."""

import numpy as np
import pytest

from recommendations.algorithms.histories import histories_of
from recommendations.algorithms.log import make_log
from recommendations.algorithms.readings import READINGS, Machine, most_met, penalty_for
from recommendations.algorithms.recipe import Recipe
from recommendations.algorithms.sources.ease import Ease
from recommendations.algorithms.sources.lowpass import LowPass
from recommendations.algorithms.sources.ridge import NextRidge
from tests.recommendations.shops import random_log

RECIPE = Recipe(top=8)
LOG = random_log(items=30, events=900)


def one_item_each():
    """A question per item, whose history is that item alone."""
    n = LOG.n_items
    log = make_log(np.arange(n), np.arange(n), n_items=n)
    return histories_of(log, np.arange(n), now_ms=0)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("ease", Ease(penalty=penalty_for(LOG), cap=500)),
        ("ridge", NextRidge(penalty=min(penalty_for(LOG), 60.0), cap=500)),
        ("smooth", LowPass(cap=500)),
    ],
)
def test_a_list_is_the_best_of_what_the_model_says_to_the_item_alone(name, model):
    dense = model.fit(LOG).score(one_item_each())
    np.fill_diagonal(dense, 0)
    lists = READINGS[name](LOG, RECIPE, Machine())
    for item in range(LOG.n_items):
        order = sorted(range(LOG.n_items), key=lambda j: (-dense[item, j], j))
        wanted = [j for j in order if dense[item, j] > 0][: RECIPE.top]
        kept = lists.neighbours[item] >= 0
        assert lists.scores[item, kept] == pytest.approx(dense[item, wanted], rel=1e-4, abs=1e-6)
        assert set(lists.neighbours[item, kept]) <= set(range(LOG.n_items)) - {item}


@pytest.mark.parametrize("name", READINGS)
def test_no_item_goes_with_itself_and_none_twice(name):
    lists = READINGS[name](LOG, RECIPE, Machine())
    assert lists.neighbours.shape == (LOG.n_items, RECIPE.top)
    for item, row in enumerate(lists.neighbours.tolist()):
        named = [j for j in row if j >= 0]
        assert item not in named
        assert len(set(named)) == len(named)


@pytest.mark.parametrize("name", READINGS)
def test_an_empty_shop_has_empty_lists(name):
    none = np.zeros(0, np.int64)
    lists = READINGS[name](make_log(none, none, n_items=3), RECIPE, Machine())
    assert lists.neighbours.tolist() == [[-1] * 8] * 3


def test_matrices_learn_from_the_items_met_most_often():
    item = np.repeat([4, 1, 3, 0], [9, 8, 7, 4])
    log = make_log(np.arange(item.size), item, ts_ms=np.arange(item.size), n_items=6)
    often, items = most_met(log, most=2)
    assert items.tolist() == [1, 4]
    assert np.bincount(often.item).tolist() == [8, 9]
    assert most_met(log, most=9)[1].tolist() == [1, 3, 4]  # 0 was met too rarely


def test_items_beyond_the_limit_get_no_list_of_a_matrix_model():
    lists = READINGS["ease"](LOG, Recipe(top=8, dense_items=10), Machine())
    assert (lists.neighbours[:, 0] >= 0).sum() <= 10
