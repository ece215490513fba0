import numpy as np
import pytest

from recommendations.algorithms.log import (
    distinct,
    last_touches,
    make_log,
    matrix,
    newest,
    sequences,
)


def small(rows, **options):
    profile, item, weight, ts = np.array(rows, np.int64).reshape(-1, 4).T
    return make_log(profile, item, weight=weight, ts_ms=ts, **({"n_items": 5} | options))


def rows_of(log):
    columns = (log.profile, log.item, log.weight, log.ts_ms)
    return list(zip(*(column.tolist() for column in columns), strict=True))


ROWS = [(1, 2, 1, 5), (0, 3, 5, 9), (0, 1, 1, 9), (0, 3, 1, 2), (1, 2, 3, 7)]


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    expected = rows_of(small(ROWS))
    assert expected == [(0, 3, 1, 2), (0, 1, 1, 9), (0, 3, 5, 9), (1, 2, 1, 5), (1, 2, 3, 7)]
    for _ in range(20):
        assert rows_of(small(rng.permutation(ROWS))) == expected


def test_rows_without_weight_are_left_out():
    assert rows_of(small([(0, 1, 0, 1), (0, 2, 1, 2)])) == [(0, 2, 1, 2)]


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"item is outside 0\.\.4"):
        small([(0, 5, 1, 1)])
    with pytest.raises(ValueError, match="same length"):
        make_log(np.array([0]), np.array([0, 1]), n_items=2)


def test_newest_of_each_profile_are_kept():
    assert rows_of(newest(small(ROWS), cap=1)) == [(0, 3, 5, 9), (1, 2, 3, 7)]


def test_touches_of_one_item_become_its_last_with_the_largest_weight():
    log = small([(0, 3, 5, 1), (0, 1, 1, 4), (0, 3, 1, 9), (1, 2, 3, 7)])
    assert rows_of(last_touches(log, cap=9)) == [(0, 1, 1, 4), (0, 3, 5, 9), (1, 2, 3, 7)]


def test_matrix_has_one_cell_per_pair():
    x = matrix(small(ROWS), cap=9)
    assert x.toarray().tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]
    weighted = matrix(small(ROWS), cap=9, weighted=True)
    assert weighted.toarray().tolist() == [[0, 1, 0, 5, 0], [0, 0, 3, 0, 0]]


def test_matrix_keeps_the_newest_items():
    assert matrix(small(ROWS), cap=1).toarray().tolist() == [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_profiles_without_events_have_empty_rows():
    x = matrix(small([(3, 1, 1, 1)], n_profiles=6), cap=9)
    assert x.shape == (6, 5)
    assert x.nnz == 1


def test_repeating_an_item_is_one_step():
    log = small([(0, 1, 1, 1), (0, 1, 1, 2), (0, 2, 1, 3), (0, 1, 1, 4), (1, 1, 1, 5)])
    assert sequences(log, cap=9).item.tolist() == [1, 2, 1, 1]


def test_empty_log_stays_empty():
    log = small([])
    assert len(sequences(log, cap=3)) == 0
    assert matrix(log, cap=3).shape == (0, 5)


def test_distinct_numbers_are_those_of_numpy():
    rng = np.random.default_rng(1)
    for size in (0, 1, 500):
        numbers = rng.integers(-50, 50, size)
        assert distinct(numbers).tolist() == np.unique(numbers).tolist()
