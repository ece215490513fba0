from math import log, log1p

import numpy as np
import pytest
from numpy.testing import assert_allclose

from recommendations.algorithms.sources.following import Following
from recommendations.algorithms.sources.popular import Popular
from recommendations.algorithms.sources.ranked import Ranked, after_each_step
from recommendations.algorithms.sources.sessions import LikeSessions
from tests.recommendations.algorithms.sources.test_sessions import (
    N_ITEMS,
    asked_of,
    log_of,
    random_paths,
)


def make():
    return {"sessions": LikeSessions(), "next": Following()}


def test_the_newest_profiles_are_asked_after_each_step():
    rng = np.random.default_rng(0)
    events = log_of([1, 2], [3, 4], [5, 6, 7], [8, 9])
    earlier, asked, wanted = after_each_step(events, share=0.5, most=10, rng=rng)
    assert earlier.item.tolist() == [1, 2, 3, 4]
    assert asked.item.tolist() == [5, 5, 6, 8]
    assert asked.bounds.tolist() == [0, 1, 3, 4]
    assert wanted.tolist() == [6, 7, 9]


def test_no_more_questions_than_allowed():
    rng = np.random.default_rng(0)
    _, asked, wanted = after_each_step(log_of([1, 2, 3, 4, 5]), share=1.0, most=2, rng=rng)
    assert len(asked) == wanted.size == 2


def test_features_equal_the_slow_way():
    rng = np.random.default_rng(5)
    paths, histories = random_paths(rng, 40), [*random_paths(rng, 10), [3, 3], []]
    weights = {"sessions": 1.0, "next": 0.5}
    model = Ranked(make, weights, candidates=6).fit(log_of(*paths))
    items, features = model.describe(asked_of(*histories))
    dense = {n: s.score(asked_of(*histories)).astype(float) for n, s in model.sources_.items()}
    flat = [item for path in paths for item in path]
    late = np.exp(-np.arange(len(flat))[::-1] / len(flat) / 0.1)
    for q, history in enumerate(histories):
        own = {n: d[q] / (d[q].max() or 1) for n, d in dense.items()}
        total = sum(weights[n] * own[n] for n in own)
        best = sorted(np.flatnonzero(total > 0), key=lambda j: (-np.float32(total[j]), j))[:6]
        assert sorted(items[q][items[q] >= 0]) == sorted(best)
        distinct = list(dict.fromkeys(reversed(history)))
        for place, j in enumerate(items[q][items[q] >= 0].tolist()):
            lately = sum(late[e] for e, item in enumerate(flat) if item == j)
            expected = [
                total[j],
                place,
                *(v for n in own for v in (own[n][j], own[n][j] / own[n].sum())),
                distinct.index(j) if j in distinct else -1,
                history.count(j),
                log1p(flat.count(j)),
                log((lately + 0.5) / (flat.count(j) * late.mean() + 0.5)),
                len(history),
                len(history) > 1 and history[-1] == history[-2],
                log(dense["sessions"][q].max()),
                log1p(flat.count(history[-1])),
                1,
            ]
            assert_allclose(features[q, place], expected, rtol=1e-4, atol=1e-6)


def test_trees_learn_what_the_first_stage_cannot_know():
    # After 1 everybody goes to 2, but the newest come back to 1 itself.
    paths = [[1, 2], [1, 3]] * 300 + [[1, 1]] * 300
    first = {"popular": 1.0}
    model = Ranked(lambda: {"popular": Popular()}, first, held_back=0.3).fit(log_of(*paths))
    (scores,) = model.score(asked_of([1]))
    assert scores.argmax() == 1
    (other,) = model.score(asked_of([3]))
    assert other[1] <= scores[1]
    assert set(np.flatnonzero(scores)) == {1, 2, 3}


@pytest.mark.parametrize("paths", [[], [[1, 2]], [[1], [2]]])
def test_where_there_is_nothing_to_learn_the_first_stage_stands(paths):
    model = Ranked(make, {"sessions": 1.0}, candidates=3).fit(log_of(*paths))
    assert model.trees_ is None
    scores = model.score(asked_of([1], []))
    assert scores.shape == (2, N_ITEMS)
    assert not scores[1].any()


def test_the_same_log_gives_the_same_scores():
    rng = np.random.default_rng(6)
    events, asked = log_of(*random_paths(rng, 300)), asked_of(*random_paths(rng, 5))
    one = Ranked(make, {"sessions": 1.0}, held_back=0.5).fit(events)
    two = Ranked(make, {"sessions": 1.0}, held_back=0.5).fit(events)
    assert one.trees_ is not None
    assert one.score(asked).tolist() == two.score(asked).tolist()
