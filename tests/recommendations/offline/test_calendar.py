from recommendations.algorithms.histories import DAY_MS
from recommendations.offline.calendar import task
from recommendations.offline.evaluation import evaluate

from .rows import day, table

HEADER = "user,item,event,ts,order"
TRAIN = [
    ("u", "a", "purchase", day(1), "1"),
    ("u", "b", "purchase", day(60), "2"),
    ("v", "a", "purchase", day(2), "3"),
    ("v", "c", "purchase", day(70), "4"),
    ("", "a", "purchase", day(3), "5"),
    ("", "c", "purchase", day(3), "5"),
]


def ask(test, *, repeats=True, train=TRAIN, items=None):
    return task(table(HEADER, train), table(HEADER, test), items=items, repeats=repeats)


def targets(trial):
    return [items.tolist() for items in trial.wanted()]


def test_each_user_is_asked_once_at_the_start_of_the_test():
    test = [("u", "a", "purchase", day(90), "6"), ("u", "c", "purchase", day(95), "7")]
    trial = ask(test).trial
    assert targets(trial) == [[0, 2]]
    assert trial.asked.item.tolist() == [0, 1]
    assert trial.asked.now_ms.tolist() == [90 * DAY_MS]
    assert trial.hidden is None


def test_without_repeats_what_was_bought_is_hidden_and_no_target():
    test = [("u", "a", "purchase", day(90), "6"), ("u", "c", "purchase", day(95), "7")]
    test += [("v", "a", "purchase", day(91), "8")]
    trial = ask(test, repeats=False).trial
    assert targets(trial) == [[2]]  # nothing new is left of v
    assert trial.hidden.toarray().tolist() == [[True, True, False]]


def test_viewed_item_may_still_be_bought_for_the_first_time():
    train = [*TRAIN, ("u", "c", "view", day(80), "")]
    test = [("u", "c", "purchase", day(90), "6")]
    trial = ask(test, repeats=False, train=train).trial
    assert (targets(trial), trial.hidden.toarray().tolist()) == ([[2]], [[True, True, False]])


def test_views_and_returns_are_no_targets():
    test = [("u", "c", "view", day(90), ""), ("u", "b", "return", day(91), "6")]
    assert len(ask([*test, ("v", "b", "purchase", day(92), "7")]).trial) == 1


def test_guests_teach_and_are_not_asked():
    asked = ask([("", "a", "purchase", day(90), "9"), ("u", "a", "purchase", day(91), "6")])
    assert len(asked.trial.train) == 6
    assert (len(asked.trial), asked.counts["guest rows"]) == (1, 1)


def test_unknown_users_and_items_are_counted():
    test = [("new", "a", "purchase", day(90), "6"), ("u", "new", "purchase", day(90), "7")]
    asked = ask(test)
    assert targets(asked.trial) == [[3]]  # a target that is missed, not a target less
    assert (asked.counts["unknown users"], asked.counts["unknown items"]) == (1, 1)


def test_training_rows_of_the_test_period_teach_nothing():
    train = [*TRAIN, ("u", "c", "purchase", day(90), "6"), ("v", "b", "view", day(99), "")]
    asked = ask([("u", "c", "purchase", day(90), "6")], train=train)
    assert len(asked.trial.train) == 6
    assert asked.trial.asked.item.tolist() == [0, 1]
    assert asked.counts["training rows after the cut"] == 2


def test_rehearsal_is_the_last_four_weeks_of_the_training_file():
    rehearsal = ask([("u", "a", "purchase", day(90), "6")]).rehearsal
    assert rehearsal.train.ts_ms.max() == 3 * DAY_MS
    assert targets(rehearsal) == [[1], [2]]
    assert rehearsal.asked.now_ms.tolist() == [42 * DAY_MS + 1] * 2


def test_items_of_the_catalog_alone_can_be_recommended():
    items = table("item,title", [("a", "red mug"), ("c", "hat"), ("z", "red cup")])
    asked = ask([("u", "z", "purchase", day(90), "6")], items=items)
    assert evaluate(asked, model="content").metrics["hr@10"] == 1


def test_evaluation_of_a_small_shop_ends():
    found = evaluate(ask([("u", "a", "purchase", day(90), "6")]))
    assert found.metrics["hr@20"] == 1
    assert found.protocol == "calendar"
