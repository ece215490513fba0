import tracemalloc

import numpy as np
import pytest

from recommendations.algorithms import model as models
from recommendations.algorithms.log import last_touches, make_log
from recommendations.algorithms.model import ItemModel, Recipe, blend, evaluate, from_history
from recommendations.algorithms.split import hold_out
from tests.recommendations.shops import arrays_of, random_log


def bits(model):
    return {name: array.tobytes() for name, array in arrays_of(model).items()}


def test_same_input_gives_the_same_bits_in_any_order_and_by_any_way():
    log = random_log()
    expected = bits(ItemModel().fit(log))
    order = np.random.default_rng(5).permutation(len(log))
    shuffled = make_log(
        log.profile[order],
        log.item[order],
        weight=log.weight[order],
        ts_ms=log.ts_ms[order],
        n_items=log.n_items,
    )
    assert bits(ItemModel().fit(log)) == expected
    assert bits(ItemModel().fit(shuffled)) == expected
    assert bits(ItemModel(threads=3).fit(log)) == expected
    assert bits(ItemModel(use_numba=False).fit(log)) == expected


def test_taste_is_learned():
    """Items are numbered by taste modulo five; four of five events follow it."""
    model = ItemModel(Recipe(top=5)).fit(random_log(events=3_000))
    neighbours = model.personal_[0]
    assert np.mean(neighbours % 5 == np.arange(30)[:, None] % 5) > 0.6


def test_learned_lists_beat_chance():
    split = hold_out(random_log(events=3_000, items=60), least=20)
    model = ItemModel().fit(split.train)
    figures = evaluate(*model.personal_, split)
    rng = np.random.default_rng(0)
    chance = np.array([rng.permutation(60)[:20] for _ in range(60)], np.int32)
    random_figures = evaluate(chance, np.ones(chance.shape, np.float32), split)
    assert figures["ndcg@10"] > 1.5 * random_figures["ndcg@10"]
    assert figures == evaluate(*model.personal_, split, use_numba=False)


def test_blend_adds_sources_on_their_own_scales():
    one = (np.array([[1, 2], [0, -1], [-1, -1]], np.int32),)
    one += (np.array([[4, 2], [4, 0], [0, 0]], np.float32), 1.0)
    other = (np.array([[2, -1], [-1, -1], [0, 1]], np.int32),)
    other += (np.array([[10, 0], [0, 0], [10, 5]], np.float32), 0.5)
    items, strength = blend(one, other)
    assert items.tolist() == [[1, 2], [0, -1], [0, 1]]
    assert strength.tolist() == [[1.0, 1.0], [1.0, 0.0], [0.5, 0.25]]


def test_blend_takes_little_more_memory_than_its_lists():
    n_items, top = 30_000, 40
    rng = np.random.default_rng(3)
    items = np.argsort(rng.random((n_items, 2 * top)), axis=1)[:, :top].astype(np.int32)
    scores = -np.sort(-rng.random((n_items, top), np.float32), axis=1)
    tracemalloc.start()
    blend((items, scores, 1.0), (items[::-1], scores, 0.2), boost=np.ones(n_items))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    lists = n_items * top * 8
    assert peak < lists + models.BLOCK * top * 250


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_give_the_same_bits(block, monkeypatch):
    log = random_log()
    split = hold_out(log, least=20)
    model = ItemModel().fit(log)
    figures = evaluate(*model.personal_, split)
    monkeypatch.setattr(models, "BLOCK", block)
    assert bits(ItemModel().fit(log)) == bits(model)
    assert evaluate(*model.personal_, split) == figures


def test_boost_reorders():
    one = (np.array([[1, 2], [0, -1], [0, -1]], np.int32),)
    one += (np.array([[4, 3], [4, 0], [4, 0]], np.float32), 1.0)
    items, strength = blend(one, boost=np.array([1.0, 1.0, 2.0]))
    assert items.tolist() == [[2, 1], [0, -1], [0, -1]]
    assert strength[0].tolist() == [1.5, 1.0]


def test_history_is_newest_first_and_each_item_once():
    log = make_log(np.array([0, 0, 0, 1]), np.array([1, 2, 1, 3]), ts_ms=np.arange(4), n_items=4)
    asked = from_history(last_touches(log, cap=9), np.array([0, 1], np.int32))
    assert asked.bounds.tolist() == [[0, 2, 4], [4, 5, 6]]
    assert asked.items.tolist() == [1, 2, 2, 1, 3, 3]


@pytest.mark.parametrize("bad", [{"top": 0}, {"next_window": 0}, {"window_days": 0}])
def test_senseless_recipes_are_refused(bad):
    with pytest.raises(ValueError, match=r"at least 1|positive"):
        ItemModel(Recipe(**bad)).fit(random_log())


def test_a_mixture_of_some_rows_is_that_of_all_in_those_rows():
    model = ItemModel(Recipe(top=10)).fit(random_log())
    rows = np.array([3, 17, 29])
    whole, some = model.mixture(model.recipe), model.mixture(model.recipe, rows=rows)
    for all_lists, few in zip(whole, some, strict=True):
        assert few[rows].tobytes() == all_lists[rows].tobytes()
    assert (np.delete(some[0], rows, axis=0) == -1).all()
