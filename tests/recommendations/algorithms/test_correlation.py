import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommendations.algorithms import correlation_in_numpy
from recommendations.algorithms.correlation import UNIT, NextItems, SimilarItems, cut
from recommendations.algorithms.log import make_log, matrix, sequences
from tests.recommendations.shops import random_log

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 8), st.integers(1, 5), st.integers(0, 20)),
    min_size=1,
    max_size=60,
)


def log_from(rows):
    profile, item, weight, ts = np.array(rows, np.int64).T
    return make_log(profile, item, weight=weight, ts_ms=ts, n_items=9)


def best(sums, occurrences, *, source, target, shrink, top, n_items):
    """The slow way from raw sums to padded lists."""
    lists = []
    for i in range(n_items):
        found = []
        for j in range(n_items):
            if j != i and sums[i, j]:
                score = sums[i, j] * (occurrences[j] + shrink) ** -target
                found.append((score, j))
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        row = (occurrences[i] + shrink) ** -source / UNIT if occurrences[i] else 0
        lists.append([(j, score * row) for score, j in found[:top]])
    return lists


def as_lists(model):
    return [
        [(j, s) for j, s in zip(items, scores, strict=True) if j >= 0]
        for items, scores in zip(model.neighbours_.tolist(), model.scores_.tolist(), strict=True)
    ]


def assert_same(model, expected):
    found = as_lists(model)
    assert [[j for j, _ in row] for row in found] == [[j for j, _ in row] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert [s for _, s in row] == pytest.approx([s for _, s in other], rel=1e-6)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_similar_equals_the_slow_way(rows):
    x = matrix(log_from(rows), cap=100, weighted=True).toarray()
    sums, occurrences = Counter(), Counter()
    for row in x:
        scale = round(UNIT * max(int((row > 0).sum()), 1) ** -0.5)
        for i in np.flatnonzero(row):
            occurrences[i] += int(row[i]) ** 2
            for j in np.flatnonzero(row):
                sums[i, j] += scale * int(row[i]) * int(row[j])
    expected = best(sums, occurrences, source=0.6, target=0.4, shrink=2, top=4, n_items=9)
    model = SimilarItems(source=0.6, target=0.4, shrink=2, top=4).fit(csr_matrix(x))
    assert_same(model, expected)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_next_equals_the_slow_way(rows):
    steps = sequences(log_from(rows), cap=100)
    sums, occurrences = Counter(), Counter()
    for p, (u, i) in enumerate(zip(steps.profile, steps.item, strict=True)):
        occurrences[i] += 1
        for distance in range(1, 4):
            q = p + distance
            if q < len(steps) and steps.profile[q] == u:
                j = steps.item[q]
                sums[i, j] += round(UNIT * 0.9 ** (distance - 1))
                sums[j, i] += round(UNIT * 0.3 * 0.9 ** (distance - 1))
    expected = best(sums, occurrences, source=0.7, target=0.3, shrink=1, top=4, n_items=9)
    assert_same(NextItems(window=3, shrink=1, top=4).fit(steps), expected)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("top", [1, 7, 40])
def test_numba_numpy_and_threads_give_the_same_bits(threads, top):
    log = random_log(items=50, profiles=80, events=2_000)
    x, steps = matrix(log, cap=500), sequences(log, cap=500)
    for make, data in ((SimilarItems, x), (NextItems, steps)):
        one = make(top=top).fit(data)
        other = make(top=top, threads=threads, use_numba=False).fit(data)
        threaded = make(top=top, threads=threads).fit(data)
        for twin in (other, threaded):
            assert one.neighbours_.tobytes() == twin.neighbours_.tobytes()
            assert one.scores_.tobytes() == twin.scores_.tobytes()


@pytest.mark.parametrize("weight", [1, 3, 100_000])
def test_weights_and_sums_beyond_32_bits_have_the_same_twin(weight):
    x = matrix(random_log(items=50, profiles=80, events=2_000), cap=500)
    x.data[::2] = weight
    one = SimilarItems(top=7).fit(x)
    other = SimilarItems(top=7, use_numba=False).fit(x)
    assert one.neighbours_.tobytes() == other.neighbours_.tobytes()
    assert one.scores_.tobytes() == other.scores_.tobytes()


@pytest.mark.parametrize("backward", [0.0, 0.3])
def test_next_without_looking_back_has_the_same_twin(backward):
    steps = sequences(random_log(), cap=500)
    one = NextItems(backward=backward).fit(steps)
    other = NextItems(backward=backward, use_numba=False).fit(steps)
    assert one.neighbours_.tobytes() == other.neighbours_.tobytes()


@pytest.mark.parametrize(("decay", "backward"), [(0.01, 0.3), (0.5, 1e-4), (0.3, 9.0), (1.0, 0.3)])
def test_steps_that_round_to_nothing_add_no_pair(decay, backward):
    """The compiled loop once wrote beyond its arrays here."""
    item = np.arange(12 * 4_000) % 12
    log = make_log(np.zeros_like(item), item, ts_ms=np.arange(item.size), n_items=12)
    one = NextItems(decay=decay, backward=backward, top=11).fit(log)
    other = NextItems(decay=decay, backward=backward, top=11, use_numba=False).fit(log)
    assert one.neighbours_.tobytes() == other.neighbours_.tobytes()
    assert one.scores_.tobytes() == other.scores_.tobytes()
    assert ((one.neighbours_ >= 0) == (one.scores_ > 0)).all()


def test_equal_scores_go_to_the_smaller_number():
    log = make_log(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 3, 0, 2, 0, 1]), n_items=4)
    model = SimilarItems(top=4).fit(matrix(log, cap=10))
    assert model.neighbours_[0].tolist() == [1, 2, 3, -1]
    assert len(set(model.scores_[0, :3].tolist())) == 1


def test_shrinking_lets_well_proved_pairs_win():
    """Two profiles that met 0 and 1 only by chance once, against ten that met 0 and 2."""
    profile = np.repeat(np.arange(12), 2)
    item = np.array([0, 1] + [0, 2] * 10 + [2, 3])
    log = make_log(profile, item, n_items=4)
    sure = SimilarItems(shrink=10).fit(matrix(log, cap=10))
    assert sure.neighbours_[0, 0] == 2


def test_floats_are_refused():
    with pytest.raises(ValueError, match="must be integers"):
        SimilarItems().fit(csr_matrix(np.ones((2, 2))))


def test_nothing_to_learn_gives_empty_rows():
    log = make_log(np.array([], int), np.array([], int), n_items=3)
    for model in (SimilarItems(top=2).fit(matrix(log, cap=5)), NextItems(top=2).fit(log)):
        assert model.neighbours_.tolist() == [[-1, -1]] * 3


def test_parts_cover_all_rows_once():
    work = np.array([0, 10, 0, 0, 5, 100, 1, 0])
    for parts in (1, 2, 3, 8, 20):
        found = [row for a, b in cut(work, parts=parts) for row in range(a, b)]
        assert found == list(range(8))


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_blocks_of_the_twins_do_not_change_a_bit(block, monkeypatch):
    log = random_log(profiles=30, items=20, events=400)
    for model, learned in ((SimilarItems, matrix(log, cap=50)), (NextItems, log)):
        whole = model(top=6, use_numba=False).fit(learned)
        with monkeypatch.context() as patch:
            patch.setattr(correlation_in_numpy, "BLOCK", block)
            cut = model(top=6, use_numba=False).fit(learned)
        assert cut.neighbours_.tobytes() == whole.neighbours_.tobytes()
        assert cut.scores_.tobytes() == whole.scores_.tobytes()


def test_twins_hold_one_block_of_pairs_and_not_all_of_them(monkeypatch):
    """40,000 steps make 800,000 pairs, of 12 bytes at least."""
    monkeypatch.setattr(correlation_in_numpy, "BLOCK", 20_000)
    rng = np.random.default_rng(2)
    log = make_log(rng.integers(0, 100, 40_000), rng.integers(0, 5_000, 40_000), n_items=5_000)
    tracemalloc.start()
    NextItems(top=5, use_numba=False).fit(log)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000
