import numpy as np
import pytest

from recommendations.algorithms.histories import DAY_MS
from recommendations.algorithms.sources.personal import Personal

from .histories import asked_at, log_of


def score_of(asked, *, log=(), **constants):
    return Personal(**constants).fit(log_of(log, n_items=asked.n_items)).score(asked)


def test_touch_of_a_half_life_ago_counts_half():
    asked = asked_at(60, [(0, 1, 0), (0, 2, 60)])
    assert score_of(asked, half_life_days=60, power=0).tolist() == [[0, 0.5, 1, 0]]


def test_every_touch_counts():
    asked = asked_at(60, [(0, 1, 60), (0, 1, 60), (0, 1, 0)])
    assert score_of(asked, half_life_days=60, power=0).tolist() == [[0, 2.5, 0, 0]]


def test_what_others_met_is_no_opinion():
    asked = asked_at(0, [(1, 3, 0)])
    assert score_of(asked, log=[(0, 1, 0), (1, 2, 0)], power=0).tolist() == [[0] * 4, [0, 0, 0, 1]]


def test_item_that_people_come_back_to_counts_more():
    # Of two who met item 0 one came back on another day; of two who met item 1 nobody did.
    log = [(0, 0, 0), (0, 0, 9), (1, 0, 0), (0, 1, 0), (0, 1, 0), (1, 1, 5)]
    usual = 2 / 5
    assert Personal(shrink=5).fit(log_of(log)).again_ == pytest.approx(
        [(1 + 5 * usual) / 7, 5 * usual / 7, usual, usual]
    )


def test_equals_a_loop():
    rng = np.random.default_rng(5)
    rows = rng.integers([0, 0, 0], [6, 9, 100], (300, 3)).tolist()
    asked = asked_at(100, rows, n_items=9)
    days = {}
    for profile, item, day in rows:
        days.setdefault((item, profile), set()).add(day)
    usual = (sum(len(found) > 1 for found in days.values()) + 1) / (len(days) + 1)
    slow = np.zeros((6, 9))
    for question, item, ts_ms in zip(asked.question, asked.item, asked.ts_ms, strict=True):
        mine = [len(found) > 1 for (of, _), found in days.items() if of == item]
        again = (sum(mine) + 5 * usual) / (len(mine) + 5)
        slow[question, item] += again**0.4 * 0.5 ** ((100 - ts_ms / DAY_MS) / 30)
    assert score_of(asked, log=rows, half_life_days=30) == pytest.approx(slow, rel=1e-5)
