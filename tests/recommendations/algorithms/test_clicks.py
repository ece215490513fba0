"""Learning from simulated clicks, where what people like is known."""

import math

import numpy as np
import pytest

from recommendations.algorithms.clicks import (
    Shown,
    at_first_place,
    hold_back,
    learn,
    looked_at,
    ndcg,
    reorder,
    try_out,
    weights,
)

LENGTH = 8
PLACE, SHARE, PRICE = range(3)


def make_shown(liking, *, lists=2_500, bias=0.0, seed=1):
    """Lists by share, falling; `liking(table)` is how likely a click is where it is looked at."""
    rng = np.random.default_rng(seed)
    share = -np.sort(-rng.integers(0, 1_000, (lists, LENGTH)), axis=1)
    place = np.tile(np.arange(1, LENGTH + 1), (lists, 1))
    price = rng.integers(0, 1_000, (lists, LENGTH))
    table = np.stack([place, share, price], axis=-1).reshape(-1, 3).astype(float)
    looked = table[:, PLACE] ** -bias
    number = np.repeat(np.arange(lists), LENGTH)
    return Shown(
        table,
        rng.random(len(table)) < liking(table) * looked,
        number,
        number * 1_000,
        np.zeros_like(number),
    )


def cheap(table):
    return np.where(table[:, PRICE] < 250, 0.12, 0.02)


def alike(table):
    return np.full(len(table), 0.05)


def by_share(table):
    return 0.01 + 0.1 * table[:, SHARE] / 1_000


def test_what_people_like_is_found_and_beats_the_order_that_was_shown():
    shown = make_shown(cheap)
    verdict = try_out(shown)
    assert verdict.better
    assert verdict.new > 1.1 * verdict.shown
    trees = learn(shown)
    assert weights(trees, n_features=3).argmax() == PRICE
    cheap_one, dear = at_first_place(trees, np.array([[5, 500, 100], [1, 500, 900.0]]))
    assert cheap_one > 3 * dear


@pytest.mark.parametrize("seed", range(5))
def test_random_clicks_are_no_reason_for_another_order(seed):
    assert not try_out(make_shown(alike, seed=seed)).better


@pytest.mark.parametrize("seed", range(5))
def test_random_clicks_under_a_bias_of_place_are_none_either(seed):
    assert not try_out(make_shown(alike, seed=seed, bias=1.0, lists=4_000)).better


@pytest.mark.parametrize("seed", range(3))
def test_order_that_is_right_already_stays(seed):
    assert not try_out(make_shown(by_share, seed=seed)).better


def test_clicks_that_the_place_brought_are_no_merit_of_the_product():
    """Two kinds, liked alike; the one stood above the other, so it was clicked more."""
    rng = np.random.default_rng(1)
    lists = 5_000
    place = np.tile(np.arange(1, LENGTH + 1), (lists, 1))
    upper = np.where(rng.random((lists, LENGTH)) < 0.8, place <= 4, place > 4)
    table = np.stack([place, upper], axis=-1).reshape(-1, 2).astype(float)
    number = np.repeat(np.arange(lists), LENGTH)
    clicked = rng.random(len(table)) < 0.2 / table[:, 0]
    shown = Shown(table, clicked, number, number, np.zeros_like(number))
    rates = [clicked[table[:, 1] == kind].mean() for kind in (0, 1)]
    assert rates[1] > 1.8 * rates[0]
    lower, higher = at_first_place(learn(shown), np.array([[6.0, 0], [2.0, 1]]))
    assert higher == pytest.approx(lower, rel=0.25)


def test_liking_is_found_under_a_bias_of_place():
    verdict = try_out(make_shown(cheap, bias=0.7, lists=4_000))
    assert verdict.better


def test_column_of_which_nothing_is_known_says_nothing():
    shown = make_shown(cheap)
    wider = Shown(
        np.column_stack([shown.table, np.full(len(shown), np.nan)]),
        shown.clicked,
        shown.lists,
        shown.ts_ms,
        shown.blocks,
    )
    for one, other in zip(learn(shown), learn(wider), strict=True):
        np.testing.assert_array_equal(one, other)


def test_same_rows_give_the_same_bits():
    first, second = (learn(make_shown(cheap)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_newest_fifth_is_held_back_and_no_moment_is_cut():
    shown = make_shown(alike, lists=10)
    older, newest = hold_back(shown)
    assert set(older.lists) == set(range(8))
    assert set(newest.lists) == {8, 9}
    at_once = Shown(shown.table, shown.clicked, shown.lists, 0 * shown.ts_ms, shown.blocks)
    older, newest = hold_back(at_once)
    assert (len(older), len(newest)) == (0, 80)
    assert not try_out(at_once).better


def test_few_lists_with_a_click_are_not_judged_by():
    shown = make_shown(cheap, lists=60)
    assert try_out(shown).lists < 30
    assert not try_out(shown).better


def test_nothing_is_learned_from_nothing():
    shown = make_shown(lambda table: np.zeros(len(table)), lists=20)
    with pytest.raises(ValueError, match="with a click and without"):
        learn(shown)
    nobody = shown.take(np.zeros(len(shown), bool))
    assert (try_out(nobody).lists, try_out(nobody).better) == (0, False)


def small(blocks, *, clicked=(0, 0, 0, 0)):
    """One list of four."""
    places = np.arange(1, 5.0)[:, None]
    number = np.zeros(4, np.int64)
    return Shown(places, np.array(clicked, bool), number, number, np.array(blocks))


@pytest.mark.parametrize(
    ("blocks", "likely", "places"),
    [
        ([0, 0, 0, 0], [0.1, 0.4, 0.3, 0.2], [4, 1, 2, 3]),
        ([0, 0, 0, 0], [0.1, 0.1, 0.2, 0.1], [2, 3, 1, 4]),  # of equals, what stood first
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [2, 1, 4, 3]),
        ([0, -1, 0, -1], [0.1, 0.2, 0.3, 0.9], [3, 2, 1, 4]),
        ([-1, -1, -1, -1], [0.1, 0.2, 0.3, 0.9], [1, 2, 3, 4]),
    ],
)
def test_products_change_places_inside_their_block(blocks, likely, places):
    assert reorder(small(blocks), np.array(likely)).tolist() == places


def slow_ndcg(shown, places, gains):
    figures, worth = [], []
    for number in sorted(set(shown.lists.tolist())):
        own = np.flatnonzero(shown.lists == number)
        reached = sum(gains[k] / math.log2(1 + places[k]) for k in own)
        best = sorted((gains[k] for k in own if gains[k] > 0), reverse=True)
        if best:
            ideal = sum(gain / math.log2(2 + rank) for rank, gain in enumerate(best))
            figures.append(reached / ideal)
            worth.append(sum(best) / len(best))
    return [one * own * len(worth) / sum(worth) for one, own in zip(figures, worth, strict=True)]


def test_figure_is_that_of_the_obvious_sum():
    shown = make_shown(by_share, lists=200)
    gains = shown.clicked * (1 + shown.places)
    found = ndcg(shown, shown.places, gains)
    np.testing.assert_allclose(found, slow_ndcg(shown, shown.places, gains))
    one = small([0, 0, 0, 0], clicked=[0, 1, 0, 0])
    assert ndcg(one, one.places, one.clicked * 7.0).tolist() == [1 / math.log2(3)]


@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_how_much_places_are_looked_at_is_learned(bias):
    shown = make_shown(cheap, bias=bias, lists=8_000)
    found = looked_at(learn(shown), shown, np.array([1.0, 2, 4, 8]))
    np.testing.assert_allclose(found, np.array([1, 2, 4, 8]) ** -bias, atol=0.12)
