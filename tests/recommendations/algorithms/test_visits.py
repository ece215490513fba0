"""Visits like mine: the compiled loop against the model, which has its own slow twin."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommendations.algorithms.log import make_log
from recommendations.algorithms.visits import GAP_MS, Visits, make_sessions, visits_of

N_ITEMS = 12


def log_of_times(*people):
    """Each person a list of (item, minute)."""
    rows = [(u, i, m * 60_000) for u, path in enumerate(people) for i, m in path]
    profile, item, ts_ms = np.array(rows, np.int64).reshape(-1, 3).T
    return make_log(profile, item, ts_ms=ts_ms, n_items=N_ITEMS)


def paths(log):
    return [log.item[a:b].tolist() for a, b in pairwise(log.bounds())]


def learn(log):
    return Visits.of(make_sessions().fit(visits_of(log)))


def test_a_pause_begins_another_visit_and_a_single_step_is_none():
    log = log_of_times([(1, 0), (2, 1), (3, 100), (4, 101)], [(5, 0)], [(6, 0), (6, 1), (7, 2)])
    assert paths(visits_of(log)) == [[1, 2], [3, 4], [6, 7]]


def test_of_many_visits_the_newest_are_kept():
    log = log_of_times([(1, 50), (2, 51)], [(3, 10), (4, 11)], [(5, 90), (6, 91)])
    assert paths(visits_of(log, most=2)) == [[1, 2], [5, 6]]


def test_an_empty_log_has_no_visits():
    assert len(visits_of(log_of_times())) == 0
    assert learn(log_of_times()).best(np.array([1], np.int32), n=3)[0].tolist() == []


def test_what_stands_beside_ones_items_in_other_visits_goes_with_them():
    index = learn(log_of_times(*[[(1, 0), (2, 1), (3, 2)]] * 2, [(7, 0), (8, 1)]))
    items, scores = index.best(np.array([2, 1], np.int32), n=5)
    assert items.tolist() == [3]
    assert scores[0] > 0


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_compiled_loop_and_model_agree(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    people = int(rng.integers(1, 25))
    rows = [
        (u, int(rng.integers(0, N_ITEMS)), int(m) * GAP_MS // 9)
        for u in range(people)
        for m in np.sort(rng.integers(0, 40, rng.integers(1, 9)))
    ]
    profile, item, ts_ms = np.array(rows).T
    index = learn(make_log(profile, item, ts_ms=ts_ms, n_items=N_ITEMS))
    recent = rng.permutation(N_ITEMS)[: rng.integers(1, 6)].astype(np.int32)
    items, scores = index.best(recent, n=N_ITEMS)
    by_model, slow = index.best(recent, n=N_ITEMS, use_numba=False)
    assert set(items.tolist()) == set(by_model.tolist())
    expected = dict(zip(by_model.tolist(), slow.tolist(), strict=True))
    for one, score in zip(items.tolist(), scores.tolist(), strict=True):
        assert score == pytest.approx(expected[one], rel=1e-4)
