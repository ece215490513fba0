import numpy as np

from recommendations.algorithms.log import make_log
from recommendations.algorithms.split import DAY_MS, hold_out, last_items, newest_days
from tests.recommendations.shops import random_log


def log_of(rows):
    profile, item, day = np.array(rows).T
    return make_log(profile, item, ts_ms=day * DAY_MS, n_items=10)


def targets_of(split):
    return {int(u): items.tolist() for u, items in zip(split.profiles, split.targets, strict=True)}


def test_last_item_is_the_question_and_no_part_of_the_history():
    split = last_items(log_of([(0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 4, 1), (1, 5, 9)]))
    assert targets_of(split) == {0: [3], 1: [5]}
    assert split.train.item.tolist() == [1, 2, 4]


def test_repeats_of_the_last_item_go_with_it():
    split = last_items(log_of([(0, 1, 1), (0, 3, 2), (0, 3, 3)]))
    assert targets_of(split) == {0: [3]}
    assert split.train.item.tolist() == [1]


def test_last_item_touched_before_is_no_question():
    split = last_items(log_of([(0, 3, 1), (0, 1, 2), (0, 3, 3)]))
    assert targets_of(split) == {}


def test_profile_with_one_item_stays_whole():
    split = last_items(log_of([(0, 3, 1), (0, 3, 2), (1, 1, 1), (1, 2, 2)]))
    assert targets_of(split) == {1: [2]}
    assert split.train.item.tolist() == [3, 3, 1]


def test_clock_is_strict():
    split = newest_days(log_of([(0, 1, 1), (0, 2, 93), (0, 3, 94), (1, 4, 100)]), days=7)
    assert targets_of(split) == {0: [3]}  # profile 1 is new: nothing is known to ask from
    assert split.train.ts_ms.max() == 93 * DAY_MS
    assert split.cut_ms == 93 * DAY_MS + 1


def test_planted_leak_of_a_known_pair_is_no_question():
    split = newest_days(log_of([(0, 1, 1), (0, 1, 99), (0, 2, 100)]), days=7)
    assert targets_of(split) == {0: [2]}


def test_long_busy_log_is_cut_by_the_week_and_a_short_one_by_profile():
    assert hold_out(random_log(days=60), least=20).protocol == "newest 7 days"
    assert hold_out(random_log(days=20), least=20).protocol == "last item of each profile"
    assert hold_out(random_log(days=60), least=1000).protocol == "last item of each profile"


def test_empty_log_asks_nobody():
    split = hold_out(make_log(np.array([], int), np.array([], int), n_items=3))
    assert split.profiles.size == 0
    assert split.targets == []
