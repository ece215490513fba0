"""Increments against learning anew: not a bit may differ in the rows that are counted again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommendations.algorithms.folding import count, fold, mark_rows
from recommendations.algorithms.log import Events
from recommendations.algorithms.readings import Machine
from recommendations.algorithms.recipe import Recipe

N_ITEMS = 9
RECIPE = Recipe(top=6, history_cap=7, next_window=3)
# Nothing divided by how often items occur: then every row must be that of a build.
PLAIN = Recipe(
    top=6, history_cap=7, next_window=3, similar_source=0, similar_target=0, next_source=0,
    next_target=0,
)  # fmt: skip
ROW = st.tuples(
    st.integers(0, 7), st.integers(0, N_ITEMS - 1), st.integers(1, 5), st.integers(0, 9)
)
ROWS = st.lists(ROW, max_size=40)


def events_of(rows, n_items=N_ITEMS):
    profile, item, weight, ts = np.array(rows, np.int64).reshape(-1, 4).T
    return Events(profile, item.astype(np.int32), weight.astype(np.int32), ts, n_items)


def learn(events, recipe):
    """What a build of these events has: both lists, and what a fold goes on from."""
    lists, counted = count(events.as_log(), recipe, Machine())
    return [*lists["similar"], *lists["next"]], counted


def fold_in(lists, counted, events, recipe, **options):
    """The lists with the rows that were counted again, and what the next fold goes on from."""
    found = fold(events, mark_rows(events), counted, recipe, Machine(), **options)
    if found is None:
        return lists, counted, None
    lists = [array.copy() for array in lists]
    for old, new in zip(lists, (*found.similar, *found.next), strict=True):
        old[found.items] = new
    return lists, found.counted, found


@given(ROWS, ROWS, st.sets(st.integers(0, 7)), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_counts_after_a_fold_are_those_of_learning_anew(old, new, erased, random):
    """Whatever came, went, or came in another order: people erased, events late or twice gone."""
    lists, counted = learn(events_of(old), PLAIN)
    now = [row for row in old + new if row[0] not in erased]
    random.shuffle(now)
    lists, counted, _ = fold_in(lists, counted, events_of(now), PLAIN)
    wanted, wanted_counted = learn(events_of(now), PLAIN)
    for array, other in zip(lists, wanted, strict=True):
        assert array.tobytes() == other.tobytes()
    for name in ("marks", "similar", "next"):
        assert getattr(counted, name).tolist() == getattr(wanted_counted, name).tolist()


@given(ROWS, ROWS, ROWS)
@settings(max_examples=100, deadline=None)
def test_rows_that_were_counted_again_are_those_of_a_build(old, new, newer):
    lists, counted = learn(events_of(old), RECIPE)
    lists, counted, _ = fold_in(lists, counted, events_of(old + new), RECIPE)
    every = events_of(old + new + newer)
    lists, counted, found = fold_in(lists, counted, every, RECIPE)
    wanted, _ = learn(every, RECIPE)
    for item in [] if found is None else found.items:
        for array, other in zip(lists, wanted, strict=True):
            assert array[item].tobytes() == other[item].tobytes()


@given(ROWS, ROWS, st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_a_row_that_waits_does_not_spoil_those_counted_before_it(old, new, most_work):
    """A newcomer stands in the lists of others although its own is made later."""
    lists, counted = learn(events_of(old), PLAIN)
    every, waiting = events_of(old + new), 1
    while waiting:
        lists, counted, found = fold_in(lists, counted, every, PLAIN, most_work=most_work)
        waiting = found.waiting if found else 0
    wanted, wanted_counted = learn(every, PLAIN)
    for array, other in zip(lists, wanted, strict=True):
        assert array.tobytes() == other.tobytes()
    for name in ("marks", "similar", "next"):
        assert getattr(counted, name).tolist() == getattr(wanted_counted, name).tolist()


@given(ROWS)
@settings(max_examples=50, deadline=None)
def test_nothing_new_is_nothing_to_do(rows):
    _, counted = learn(events_of(rows), RECIPE)
    again = events_of(rows[::-1])
    assert fold(again, mark_rows(again), counted, RECIPE, Machine()) is None


@given(ROWS, ROWS)
@settings(max_examples=50, deadline=None)
def test_compiled_and_in_numpy_give_the_same_bits(old, new):
    _, counted = learn(events_of(old), RECIPE)
    every = events_of(old + new)
    asked = (every, mark_rows(every), counted, RECIPE)
    one, other = fold(*asked, Machine()), fold(*asked, Machine(threads=2, use_numba=False))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        for a, b in zip((*one.similar, *one.next), (*other.similar, *other.next), strict=True):
            assert a.tobytes() == b.tobytes()


def test_only_rows_of_people_who_did_something_are_counted_again():
    old = [(0, 0, 1, 1), (0, 1, 1, 2), (1, 2, 1, 1), (1, 3, 1, 2)]
    _, counted = learn(events_of(old), RECIPE)
    every = events_of([*old, (1, 4, 1, 3)])
    found = fold(every, mark_rows(every), counted, RECIPE, Machine())
    assert found.items.tolist() == [2, 3, 4]


def test_two_people_who_become_one_are_counted_as_one():
    apart = [(0, 0, 1, 1), (0, 1, 1, 2), (1, 2, 1, 3)]
    lists, counted = learn(events_of(apart), PLAIN)
    merged = [(0, item, weight, ts) for _, item, weight, ts in apart]
    lists, _, found = fold_in(lists, counted, events_of(merged), PLAIN)
    assert found.items.tolist() == [0, 1, 2]
    wanted, _ = learn(events_of(merged), PLAIN)
    assert [array.tobytes() for array in lists] == [array.tobytes() for array in wanted]


def test_what_does_not_fit_into_the_work_waits_and_is_done_next():
    rng = np.random.default_rng(4)
    rows = [(int(u), int(i), 1, t) for t, (u, i) in enumerate(rng.integers(0, 8, (60, 2)))]
    lists, counted = learn(events_of(rows[:40]), PLAIN)
    waiting, rounds = -1, 0
    while waiting:
        lists, counted, found = fold_in(lists, counted, events_of(rows), PLAIN, most_work=150)
        assert found is not None
        waiting, rounds = found.waiting, rounds + 1
    assert rounds > 1
    wanted, _ = learn(events_of(rows), PLAIN)
    assert [array.tobytes() for array in lists] == [array.tobytes() for array in wanted]


def test_newcomers_get_rows_beside_those_of_the_build():
    old = [(0, 0, 1, 1), (0, 1, 1, 2)]
    _, counted = learn(events_of(old, n_items=2), RECIPE)
    new = events_of([*old, (0, 2, 1, 3)], n_items=3)
    found = fold(new, mark_rows(new), counted.widened(3), RECIPE, Machine())
    assert found.items.tolist() == [0, 1, 2]
    assert found.next.neighbours[2, :2].tolist() == [1, 0]


@pytest.mark.parametrize("change", [(0, 1, 1, 5), (0, 1, 2, 2), (0, 3, 1, 2)])
def test_time_weight_and_item_of_an_event_are_in_the_mark(change):
    rows = [(0, 0, 1, 1), (0, 1, 1, 2)]
    other = [rows[0], change]
    assert mark_rows(events_of(rows))[0] != mark_rows(events_of(other))[0]


def test_a_mark_does_not_say_who():
    rows = [(0, 0, 1, 1), (0, 1, 1, 2), (4, 1, 1, 7)]
    renamed = [(9 - u, i, w, t) for u, i, w, t in rows]
    assert mark_rows(events_of(rows)).tolist() == mark_rows(events_of(renamed)).tolist()
