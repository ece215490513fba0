import numpy as np
import pytest
from numpy.testing import assert_allclose

from recommendations.algorithms.sources.twosteps import TwoSteps
from tests.recommendations.algorithms.sources.test_sessions import (
    N_ITEMS,
    asked_of,
    log_of,
    random_paths,
)


def slow(model, paths, history):
    """One question by plain loops."""
    paths = [
        [item for k, item in enumerate(path) if not k or path[k - 1] != item] for path in paths
    ]
    share = np.zeros((N_ITEMS, N_ITEMS))
    for path in paths:
        for a, earlier in enumerate(path):
            for distance, later in enumerate(path[a + 1 : a + 1 + model.window]):
                if earlier != later:
                    share[earlier, later] += model.decay**distance
                    share[later, earlier] += model.backward * model.decay**distance
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-9)
    for row in share:
        row[sorted(range(N_ITEMS), key=lambda j: (-row[j], j))[model.widest :]] = 0
    met = np.bincount(np.concatenate(paths).astype(int), minlength=N_ITEMS)
    weights = np.zeros(N_ITEMS)
    for place, item in enumerate(list(dict.fromkeys(reversed(history)))[: model.steps]):
        weights[item] = model.fading**place
    return weights @ share @ share * np.maximum(met, 1.0) ** -model.target


@pytest.mark.parametrize("options", [{}, {"window": 2, "steps": 2}, {"backward": 0.0, "decay": 1}])
def test_two_steps_equal_the_slow_way(options):
    rng = np.random.default_rng(3)
    paths, histories = random_paths(rng, 30), [*random_paths(rng, 20), []]
    model = TwoSteps(**options).fit(log_of(*paths))
    expected = [slow(model, paths, history) for history in histories]
    assert_allclose(model.score(asked_of(*histories)), expected, rtol=1e-5, atol=1e-9)


def test_items_are_reached_that_never_stood_beside_the_history():
    model = TwoSteps(target=0.0, backward=0.0).fit(log_of([1, 2], [2, 3]))
    (scores,) = model.score(asked_of([1]))
    assert np.flatnonzero(scores).tolist() == [3]
    assert scores[3] == 1.0


def test_only_the_largest_shares_are_walked_along():
    paths = [[1, 2], [1, 2], [1, 3], [2, 4], [3, 5]]
    (wide,) = TwoSteps(target=0.0, backward=0.0).fit(log_of(*paths)).score(asked_of([1]))
    assert wide[[4, 5]].tolist() == pytest.approx([2 / 3, 1 / 3])
    narrow = TwoSteps(target=0.0, backward=0.0, widest=1).fit(log_of(*paths))
    (scores,) = narrow.score(asked_of([1]))
    assert scores[[4, 5]].tolist() == pytest.approx([2 / 3, 0.0])
