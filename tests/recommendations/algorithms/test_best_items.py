import numpy as np
import pytest
from numpy.testing import assert_array_equal

from recommendations.algorithms.lists import best_items


def slow(scores, *, n):
    lists = np.full((len(scores), n), -1)
    for row, found in zip(scores, lists, strict=True):
        order = sorted((j for j in range(row.size) if row[j] > 0), key=lambda j: (-row[j], j))
        found[: len(order[:n])] = order[:n]
    return lists


@pytest.mark.parametrize("n_items", [1, 19, 20, 21, 500, 4_001])
@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_best_items_equal_the_slow_way(n_items, share):
    rng = np.random.default_rng(n_items)
    scores = rng.integers(1, 40, (9, n_items)).astype(np.float32)  # many are equal
    scores[rng.random(scores.shape) >= share] = 0
    assert_array_equal(best_items(scores, n=20), slow(scores, n=20))
