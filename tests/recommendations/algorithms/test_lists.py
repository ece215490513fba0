import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommendations.algorithms.lists import best_items

SCORES = st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), max_size=4)


@given(SCORES, st.integers(1, 7))
def test_lists_are_those_of_sorting_everything(rows, n):
    scores = np.array(rows, np.float32).reshape(-1, 5)
    wanted = []
    for row in scores.tolist():
        order = sorted((item for item in range(5) if row[item] > 0), key=lambda i: (-row[i], i))
        wanted.append((order + [-1] * n)[:n])
    assert best_items(scores, n=n).tolist() == wanted


def test_ties_go_to_the_smaller_number():
    assert best_items(np.array([[1, 2, 2, 1]], np.float32), n=3).tolist() == [[1, 2, 0]]
