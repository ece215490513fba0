import numpy as np
import pytest

from recommendations.offline import rating
from recommendations.offline.evaluation import evaluate
from tests.recommendations.offline.rows import table_of


def task_of(train, test):
    return rating.task(table_of(train), table_of(test, name="test.csv"), items=None)


def test_liked_items_of_the_test_are_asked_for():
    task = task_of(
        "user,item,rating\nana,a,1\nana,b,5\nbo,a,3", "user,item,rating\nana,c,4\nana,d,3"
    )
    assert task.trial.targets.toarray().tolist() == [[False, False, True, False]]
    assert task.trial.hidden.toarray().tolist() == [[True, True, False, False]]


def test_the_last_rating_of_a_pair_counts():
    found = rating.as_matrix(
        np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([2.0, 5.0, 3.0]), shape=(2, 2)
    )
    assert found.toarray().tolist() == [[0, 5], [3, 0]]


def test_the_error_is_that_of_all_ratings_of_the_test():
    lines = [f"u{u},i{i},{1 + (u + i) % 2 * 4}" for u in range(12) for i in range(10)]
    held = [lines.pop(place) for place in (7, 23, 61, 88)]
    header = "user,item,rating\n"
    task = task_of(header + "\n".join(lines), header + "\n".join(held))
    metrics = evaluate(task, model="popular").metrics
    assert metrics["rmse"] < 0.6
    assert metrics["precision@10"] == pytest.approx(0.1 * metrics["hr@10"])  # one target each
