from pathlib import Path

import numpy as np

from recommendations.algorithms.blending import Blend
from recommendations.offline import session
from recommendations.offline.files import Table


def table(**columns):
    return Table(Path("file.csv"), columns)


def train_of(*paths):
    """Sessions numbered from 1 on, given from the oldest."""
    rows = [
        (str(number), item, str(pos))
        for number, path in enumerate(paths, 1)
        for pos, item in enumerate(path.split())
    ]
    sessions, items, places = zip(*rows, strict=True)
    return table(session=sessions, item=items, pos=places)


def asked_of(*lines):
    history, wanted = zip(*lines, strict=True)
    return table(history=history, next=wanted)


def questions(trial):
    bounds = trial.asked.bounds
    return [
        (trial.asked.item[bounds[q] : bounds[q + 1]].tolist(), trial.targets[q].indices.tolist())
        for q in range(len(trial))
    ]


def test_every_line_is_a_question_with_its_history():
    task = session.task(train_of("a b", "b c"), asked_of(("a b a", "a"), ("c", "b")))
    assert questions(task.trial) == [([0, 1, 0], [0]), ([2], [1])]
    assert task.trial.hidden is None
    assert (task.protocol, task.k) == ("session", 20)


def test_unknown_items_are_counted_and_a_question_for_one_stays():
    task = session.task(train_of("a b", "b c"), asked_of(("z a y", "b"), ("a", "x"), ("z", "c")))
    # names: a b c x, of which x is only asked for
    assert questions(task.trial) == [([0], [1]), ([0], [3]), ([], [2])]
    assert task.counts == {
        session.UNKNOWN_HISTORY: 3,
        session.UNKNOWN_NEXT: 1,
        session.EMPTY: 1,
    }


def test_an_empty_history_is_answered_by_popularity():
    task = session.task(train_of("a b", "b c", "b c"), asked_of(("z", "b")))
    blend = Blend({"sessions": task.makers["sessions"]()}, {"sessions": 1.0}).fit(task.trial.train)
    assert blend.lists(task.trial.asked, None, n=4).tolist() == [[1, 2, 0, -1]]


def test_the_rehearsal_asks_after_each_step_of_the_newest_sessions(monkeypatch):
    monkeypatch.setattr(session, "HELD_BACK", 0.3)
    task = session.task(train_of("a b", "b c", "c a", "b z a"), asked_of(("a", "b")))
    rehearsal = task.rehearsal
    # of four sessions two are held back; z is met for the first time there
    assert rehearsal.train.profile.max() == 1
    assert questions(rehearsal) == [([2], [0]), ([1], [3]), ([1], [0])]


def test_nothing_of_the_held_back_sessions_is_learned_from():
    task = session.task(train_of(*["a b"] * 19, "a c"), asked_of(("a", "c")))
    assert np.bincount(task.rehearsal.train.item).tolist() == [19, 19]
    assert np.bincount(task.trial.train.item).tolist() == [20, 19, 1]


def test_sessions_are_ordered_by_their_numbers_not_by_their_lines():
    train = table(session=["10", "9", "10", "9"], item=list("abcd"), pos=list("0011"))
    log = session.task(train, asked_of(("a", "b"))).trial.train
    assert log.item.tolist() == [1, 3, 0, 2]
    assert log.profile.tolist() == [0, 0, 1, 1]


def test_sessions_without_numbers_stand_in_the_order_of_the_file():
    train = table(session=["s9", "s9", "s10"], item=list("abc"), pos=list("100"))
    log = session.task(train, asked_of(("a", "b"))).trial.train
    assert log.item.tolist() == [1, 0, 2]
    assert log.ts_ms.tolist() == [0, 1, 2]


def test_a_question_is_asked_after_the_log():
    task = session.task(train_of("a b", "b c"), asked_of(("a b", "c"), ("c", "b")))
    assert task.trial.train.ts_ms.max() == 3
    assert task.trial.asked.ts_ms.tolist() == [4, 5, 4]
    assert task.trial.asked.now_ms.tolist() == [6, 5]
