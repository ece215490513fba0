import numpy as np

from recommendations.algorithms.histories import DAY_MS, histories_of, recency, touched
from recommendations.algorithms.log import make_log
from tests.recommendations.algorithms.logs import ask, log_of


def test_histories_are_those_of_the_profiles_in_their_order():
    log = log_of([0, 1], [2], [3, 4, 3], n_items=5)
    asked = histories_of(log, np.array([2, 0]), now_ms=7)
    assert asked.bounds.tolist() == [0, 3, 5]
    assert asked.item.tolist() == [3, 4, 3, 0, 1]
    assert asked.now_ms.tolist() == [7, 7]


def test_a_part_is_asked_as_the_whole_is():
    asked = ask([0], [1, 2], [3], n_items=4)
    part = asked.part(1, 3)
    assert (part.bounds.tolist(), part.item.tolist()) == ([0, 2, 3], [1, 2, 3])
    assert [first for first, _ in asked.blocks(2)] == [0, 2]


def test_marked_events_leave_their_histories():
    asked = ask([0, 1], [1], [1, 2], n_items=3)
    left = asked.without(asked.item == 1)
    assert (left.bounds.tolist(), left.item.tolist()) == ([0, 1, 1, 2], [0, 2])


def test_an_item_counts_once_by_its_last_touch():
    weights = recency(ask([0, 1, 0, 2], n_items=3), fading=0.5).toarray()
    assert weights.tolist() == [[0.5, 0.25, 1.0]]


def test_only_the_newest_items_count_where_there_is_a_cap():
    assert recency(ask([0, 1, 2], n_items=3), cap=2).toarray().tolist() == [[0, 1, 1]]


def test_a_touch_of_a_half_life_ago_counts_half():
    log = make_log(np.zeros(2, int), np.array([0, 1]), ts_ms=np.array([0, DAY_MS]), n_items=2)
    asked = histories_of(log, np.array([0]), now_ms=2 * DAY_MS)
    assert recency(asked, half_life_days=1.0).toarray().tolist() == [[0.25, 0.5]]


def test_an_empty_history_weighs_nothing():
    assert recency(ask([], [1], n_items=2)).toarray().tolist() == [[0, 0], [0, 1]]


def test_what_was_touched_leaves_the_order_of_the_history_alone():
    asked = ask([2, 0, 2], n_items=3)
    assert touched(asked).toarray().tolist() == [[True, False, True]]
    assert asked.item.tolist() == [2, 0, 2]
