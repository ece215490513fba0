import numpy as np
import pytest

from recommendations.algorithms.histories import DAY_MS
from recommendations.offline import purchase
from recommendations.offline.evaluation import evaluate

from .rows import day, table

HEADER = "user,item,event,ts"
TRAIN = [
    ("u", "a", "view", day(1)),
    ("u", "b", "purchase", day(60)),
    ("v", "c", "view", day(2)),
    ("v", "a", "purchase", day(70)),
]


def ask(test, *, train=TRAIN):
    bought = table("user,item,ts", test)
    return purchase.task(table(HEADER, train), bought, items=None, repeats=False)


def history(trial, question):
    asked = trial.asked.part(question, question + 1)
    return asked.item.tolist()


def test_every_purchase_is_asked_at_its_own_time():
    trial = ask([("u", "c", day(90)), ("u", "d", day(95))]).trial
    assert [items.tolist() for items in trial.wanted()] == [[2], [3]]
    assert trial.asked.now_ms.tolist() == [90 * DAY_MS, 95 * DAY_MS]
    assert (history(trial, 0), history(trial, 1)) == ([0, 1], [0, 1, 2])
    assert trial.hidden.toarray()[1].tolist() == [True, True, True, False]


def test_nothing_of_the_same_moment_is_history():
    trial = ask([("u", "c", day(90)), ("u", "d", day(90))]).trial
    assert (history(trial, 0), history(trial, 1)) == ([0, 1], [0, 1])


def test_later_training_rows_are_history_of_later_targets_only():
    train = [*TRAIN, ("u", "d", "view", day(92)), ("u", "e", "view", day(99))]
    trial = ask([("u", "c", day(90)), ("u", "f", day(95))], train=train).trial
    assert len(trial.train) == 4
    assert (history(trial, 0), history(trial, 1)) == ([0, 1], [0, 1, 2, 3])


def test_target_touched_before_is_left_out_and_counted():
    asked = ask([("u", "a", day(90)), ("u", "c", day(91)), ("u", "c", day(92))])
    assert [items.tolist() for items in asked.trial.wanted()] == [[2]]
    assert asked.counts["targets touched before"] == 2


def test_looking_at_the_target_on_the_way_to_it_is_no_history():
    train = [*TRAIN, ("u", "d", "view", day(89)), ("u", "d", "view", day(91))]
    asked = ask([("v", "a", day(88)), ("u", "d", day(92))], train=train)
    assert [items.tolist() for items in asked.trial.wanted()] == [[3]]
    assert history(asked.trial, 0) == [0, 1]
    assert not asked.trial.hidden.toarray()[0, 3]
    assert asked.counts["targets touched before"] == 1


def test_unknown_users_are_counted_and_unknown_items_missed():
    asked = ask([("new", "a", day(90)), ("u", "new", day(91)), ("u", "c", day(92))])
    assert asked.counts["unknown users"] == asked.counts["targets of unknown users"] == 1
    assert asked.counts["unknown items"] == 1
    assert len(asked.trial) == 2


def test_thin_rehearsal_chooses_nothing():
    asked = ask([("u", "c", day(90))])
    assert len(asked.rehearsal) == 0
    assert evaluate(asked).weights == {"popular": 0.5, "bought": 0.5, "similar": 1.0}


def test_rehearsal_asks_for_first_purchases_of_the_last_four_weeks(monkeypatch):
    monkeypatch.setattr(purchase, "LEAST_QUESTIONS", 3)
    train = [*TRAIN, ("u", "c", "purchase", day(71)), ("u", "a", "purchase", day(72))]
    rehearsal = ask([("u", "d", day(90))], train=train).rehearsal
    assert rehearsal.train.ts_ms.max() == 2 * DAY_MS
    # b and c were new to u, a was not; a was new to v.
    assert [items.tolist() for items in rehearsal.wanted()] == [[1], [2], [0]]
    assert history(rehearsal, 1) == [0, 1]


def shop_at_random():
    """Nothing can be learned of it: what a model seems to know, leaked."""
    rng = np.random.default_rng(8)
    rows = [
        (f"u{user:02}", f"i{item:03}", "view", day(when))
        for user, item, when in rng.integers([0, 0, 0], [40, 300, 60], (800, 3))
    ]
    test = [(f"u{user:02}", f"i{300 + user * 5}", day(70) + user) for user in range(40)]
    return rows, test


@pytest.mark.parametrize("model", ["auto", "similar", "popular"])
def test_views_after_the_purchase_do_not_help(model):
    rows, test = shop_at_random()
    planted = [(user, item, "view", ts + 60) for user, item, ts in test]
    honest = evaluate(ask(test, train=rows), model=model)
    leaky = ask(test, train=rows + planted)
    assert len(leaky.trial) == len(test)
    assert leaky.trial.train.item.tolist() == ask(test, train=rows).trial.train.item.tolist()
    assert evaluate(leaky, model=model).metrics["hr@20"] == honest.metrics["hr@20"] == 0


@pytest.mark.parametrize("model", ["auto", "similar", "popular"])
def test_pairs_that_were_learned_do_not_help(model):
    rows, test = shop_at_random()
    half = test[::2]
    planted = [(user, item, "view", day(65)) for user, item, _ in half]
    leaky = ask(test, train=rows + planted)
    assert leaky.counts["targets touched before"] == len(half)
    assert evaluate(leaky, model=model).metrics["hr@20"] == 0
