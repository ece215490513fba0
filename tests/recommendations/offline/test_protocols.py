"""Which question the columns of two files ask, and what each makes of its files."""

from itertools import pairwise

import numpy as np
import pytest

from engage.lib.errors import InvalidInput
from recommendations.offline import split
from recommendations.offline.naming import UNKNOWN_ITEMS, UNKNOWN_USERS
from recommendations.offline.protocols import make_task
from tests.recommendations.algorithms.logs import log_of
from tests.recommendations.offline.rows import table_of

ORDERED = table_of("user,item,pos\nana,b,1\nana,a,0\nana,c,2\nbo,a,0\n")
PAIRS = table_of("user,item\nana,a\nana,b\nbo,a\n")
TEST = table_of("user,item\nana,d\nzoe,a\n", name="test.csv")


def task_of(train, test=TEST, **named):
    return make_task(train, test, items=None, repeats=False, **named)


def items_of(histories) -> list[list[int]]:
    bounds = histories.bounds
    return [histories.item[a:b].tolist() for a, b in pairwise(bounds)]


EVENTS = table_of("user,item,event,ts\nana,a,view,1000\nana,b,purchase,9000\nbo,a,purchase,5000\n")
RATED = table_of("user,item,rating,ts\nana,a,5,1\nbo,a,3,2\nbo,b,4,3\n")
STEPS = table_of("session,item,pos\n1,a,0\n1,b,1\n2,a,0\n2,b,1\n")


@pytest.mark.parametrize(
    ("train", "test", "protocol"),
    [
        (ORDERED, TEST, "next-item"),
        (PAIRS, TEST, "split"),
        (EVENTS, table_of("user,item,event,ts\nana,a,purchase,10000\n"), "calendar"),
        (EVENTS, table_of("user,item,ts\nbo,b,10000\n"), "purchase"),
        (RATED, table_of("user,item,rating,ts\nana,b,5,9\n"), "rating"),
        (STEPS, table_of("history,next\na,b\n"), "session"),
    ],
)
def test_the_columns_say_which_protocol_it_is(train, test, protocol):
    task = task_of(train, test)
    assert (task.protocol, len(task.trial)) == (protocol, 1)


def test_a_protocol_may_be_named_where_several_fit():
    assert task_of(ORDERED, name="split").protocol == "split"


def test_columns_that_fit_none_are_named_with_those_that_would():
    with pytest.raises(InvalidInput, match=r"columns colour of train.csv.*split: item,user"):
        task_of(table_of("colour\nred\n"))
    with pytest.raises(InvalidInput, match="no protocol 'guess'; there are session, next-item, "):
        task_of(PAIRS, name="guess")
    with pytest.raises(InvalidInput, match="fit no protocol next-item"):
        task_of(PAIRS, name="next-item")


def test_the_next_item_is_asked_after_everything_before_it():
    task = task_of(ORDERED)
    assert items_of(task.trial.asked) == [[0, 1, 2]]  # by their pos; a to d are 0 to 3
    assert task.trial.targets.toarray().tolist() == [[False, False, False, True]]
    assert task.trial.hidden.toarray().tolist() == [[True, True, True, False]]


def test_the_rehearsal_asks_for_the_last_item_of_the_training_file_alone():
    rehearsal = task_of(ORDERED).rehearsal
    assert items_of(rehearsal.asked) == [[0, 1]]
    assert rehearsal.targets.indices.tolist() == [2]
    assert 2 not in rehearsal.train.item


def test_unknown_users_are_left_out_and_unknown_items_counted():
    for train in (ORDERED, PAIRS):
        task = task_of(train)
        assert (len(task.trial), task.counts) == (1, {UNKNOWN_USERS: 1, UNKNOWN_ITEMS: 1})


def test_a_target_that_training_has_is_no_target_of_a_split():
    trial = task_of(PAIRS, table_of("user,item\nana,a\nana,c\n")).trial
    assert trial.targets.toarray().tolist() == [[False, False, True]]


def test_a_tenth_of_each_profiles_items_is_held_back_and_never_the_only_one():
    log = log_of(list(range(20)), [5], [6, 6], [1, 2], n_items=20)
    rest, who, items = split.hold_back(log, share=0.1, rng=np.random.default_rng(0))
    assert np.bincount(who, minlength=4).tolist() == [2, 0, 0, 0]
    held = set(zip(who.tolist(), items.tolist(), strict=True))
    left = set(zip(rest.profile.tolist(), rest.item.tolist(), strict=True))
    assert not held & left
    assert len(held) + len(left) == 24


def test_a_file_of_the_catalog_adds_items_that_nobody_met():
    items = table_of("item,title\nzz,Unmet\n")
    assert make_task(PAIRS, TEST, items=items, repeats=False).trial.train.n_items == 4
