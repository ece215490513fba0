import tracemalloc

import numpy as np
import pytest

from recommendations.algorithms import model as models
from recommendations.algorithms.lists import Lists
from recommendations.algorithms.log import last_touches, make_log
from recommendations.algorithms.model import (
    ItemModel,
    Mixture,
    evaluate,
    from_history,
    mix,
    scales,
)
from recommendations.algorithms.recipe import Recipe
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
    neighbours = model.personal_.neighbours
    assert np.mean(neighbours % 5 == np.arange(30)[:, None] % 5) > 0.6


def test_learned_lists_beat_chance():
    split = hold_out(random_log(events=3_000, items=60), least=20)
    model = ItemModel().fit(split.train)
    figures, places = evaluate(model.personal_, split)
    assert places[2:].sum() == 0  # of two sources
    rng = np.random.default_rng(0)
    chance = np.array([rng.permutation(60)[:20] for _ in range(60)], np.int32)
    nobody = np.zeros(chance.shape, np.uint8)
    by_chance = Mixture(chance, np.ones(chance.shape, np.float32), nobody)
    random_figures, _ = evaluate(by_chance, split)
    assert figures["ndcg@10"] > 1.5 * random_figures["ndcg@10"]
    in_numpy, places_in_numpy = evaluate(model.personal_, split, use_numba=False)
    assert figures == in_numpy
    assert places.tolist() == places_in_numpy.tolist()


def lists(items, scores):
    return Lists(np.array(items, np.int32), np.array(scores, np.float32))


ONE = lists([[1, 2], [0, -1], [-1, -1]], [[4, 2], [4, 0], [0, 0]])
OTHER = lists([[2, -1], [-1, -1], [0, 1]], [[10, 0], [0, 0], [10, 5]])


def test_each_source_is_brought_to_its_own_scale():
    both = {"next": ONE, "similar": OTHER, "ease": OTHER}
    assert scales(both, {"next": 1.0, "similar": 0.5, "ease": 0.0}) == [0.25, 0.05]


def test_a_mixture_adds_its_sources_and_knows_the_loudest():
    found = mix([ONE, OTHER], [0.25, 0.05], boost=np.ones(3))
    assert found.neighbours.tolist() == [[1, 2], [0, -1], [0, 1]]
    assert found.strength.tolist() == [[1.0, 1.0], [1.0, 0.0], [0.5, 0.25]]
    assert found.loudest.tolist() == [[0, 0], [0, 0], [1, 1]]  # of equals the first


def test_a_source_without_anything_to_say_changes_nothing():
    silent = lists([[-1, -1]] * 3, [[0, 0]] * 3)
    assert scales({"next": silent}, {"next": 1.0}) == [0.0]
    for mixed, alone in zip(
        mix([silent, ONE], [0.0, 1.0], boost=np.ones(3)), mix([ONE], [1.0], boost=np.ones(3)),
        strict=True,
    ):  # fmt: skip
        assert mixed.shape == alone.shape
    assert (mix([silent], [0.0], boost=np.ones(3)).neighbours == -1).all()


def test_a_mixture_takes_little_more_memory_than_its_lists():
    n_items, top = 30_000, 40
    rng = np.random.default_rng(3)
    items = np.argsort(rng.random((n_items, 2 * top)), axis=1)[:, :top].astype(np.int32)
    scores = -np.sort(-rng.random((n_items, top), np.float32), axis=1)
    tracemalloc.start()
    mix([Lists(items, scores), Lists(items[::-1], scores)], [1.0, 0.2], boost=np.ones(n_items))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n_items * top * 9 + models.BLOCK * top * 280


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_give_the_same_bits(block, monkeypatch):
    log = random_log()
    split = hold_out(log, least=20)
    model = ItemModel().fit(log)
    figures, _ = evaluate(model.personal_, split)
    monkeypatch.setattr(models, "BLOCK", block)
    assert bits(ItemModel().fit(log)) == bits(model)
    assert evaluate(model.personal_, split)[0] == figures


def test_boost_reorders():
    one = lists([[1, 2], [0, -1], [0, -1]], [[4, 3], [4, 0], [4, 0]])
    found = mix([one], [0.25], boost=np.array([1.0, 1.0, 2.0]))
    assert found.neighbours.tolist() == [[2, 1], [0, -1], [0, -1]]
    assert found.strength[0].tolist() == [1.5, 1.0]


def test_only_readings_with_a_weight_are_learned_besides_the_counted_ones():
    model = ItemModel(Recipe(weights={"ease": 1.0})).fit(random_log())
    assert list(model.lists_) == ["next", "similar", "ease"]
    assert model.sources_ == ("ease",)


def test_a_weight_for_no_reading_is_refused():
    with pytest.raises(ValueError, match="there is no reading 'magic'"):
        ItemModel(Recipe(weights={"magic": 1.0})).fit(random_log())


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
