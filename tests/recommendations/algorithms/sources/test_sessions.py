from collections import defaultdict
from math import log

import numpy as np
import pytest
from numpy.testing import assert_allclose

from recommendations.algorithms.histories import Histories
from recommendations.algorithms.log import make_log
from recommendations.algorithms.sources import sessions
from recommendations.algorithms.sources.sessions import LikeSessions

N_ITEMS = 12


def log_of(*paths):
    profile = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
    item = np.array([item for path in paths for item in path], np.int64)
    return make_log(profile, item, ts_ms=np.arange(item.size), n_items=N_ITEMS)


def asked_of(*paths):
    item = np.array([item for path in paths for item in path], np.int32)
    bounds = np.append(0, np.cumsum([len(path) for path in paths])).astype(np.int64)
    ticks = np.arange(item.size, dtype=np.int64)
    now = np.full(len(paths), item.size, np.int64)
    return Histories(bounds, item, np.ones(item.size, np.int32), ticks, now, N_ITEMS)


def random_paths(rng, count):
    return [rng.integers(0, N_ITEMS, rng.integers(1, 9)).tolist() for _ in range(count)]


def slow(model, paths, history):
    """One question, session by session."""
    paths = [path[-model.cap :] for path in paths]
    having = defaultdict(list)
    for number in reversed(range(len(paths))):
        for item in set(paths[number]):
            having[item].append(number)
    distinct = list(dict.fromkeys(reversed(history)))[: model.steps]
    common, meeting = defaultdict(float), {}
    for place, item in enumerate(distinct):
        for number in having[item][: model.reach]:
            rarity = log(1 + len(paths) / len(having[item])) ** model.rarity
            common[number] += np.float32(model.fading**place) * rarity
            path = paths[number]
            meeting.setdefault(number, max(p for p, other in enumerate(path) if other == item))
    likeness = {}
    for number, total in common.items():
        age = (len(paths) - 1 - number) / (len(paths) - 1)
        weight = len(paths[number]) ** -model.length * model.oldest**age
        likeness[number] = total**model.agreement * weight
    likest = sorted(likeness, key=lambda number: (-likeness[number], -number))
    scores = np.zeros(N_ITEMS)
    for number in likest[: model.neighbours]:
        for place, item in enumerate(paths[number]):
            distance = place - meeting[number]
            if distance > 0:
                worth = model.ahead ** (distance - 1)
            elif distance < 0:
                worth = model.behind * model.behind_fading ** (-distance - 1)
            else:
                worth = model.itself
            scores[item] += likeness[number] * worth / len(having[item]) ** model.target
    for factor, item in zip(model.again, distinct, strict=False):
        scores[item] *= factor
    return scores


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"neighbours": 3},
        {"reach": 4},
        {"cap": 3, "steps": 2},
        {"oldest": 1.0, "length": 0.0, "agreement": 1.0, "rarity": 1.0, "again": ()},
    ],
)
def test_sessions_equal_the_slow_way(options):
    rng = np.random.default_rng(7)
    paths, histories = random_paths(rng, 40), [*random_paths(rng, 30), []]
    model = LikeSessions(**options).fit(log_of(*paths))
    found = model.score(asked_of(*histories))
    assert_allclose(found, [slow(model, paths, history) for history in histories], rtol=1e-5)


def test_the_same_in_small_parts(monkeypatch):
    rng = np.random.default_rng(8)
    model = LikeSessions().fit(log_of(*random_paths(rng, 40)))
    asked = asked_of(*random_paths(rng, 30))
    whole = model.score(asked)
    monkeypatch.setattr(sessions, "PAIRS", 10)
    assert len(model._parts(sessions.recency(asked))) > 10
    assert_allclose(model.score(asked), whole, rtol=1e-6)


def test_a_session_with_two_common_items_outweighs_two_with_one():
    model = LikeSessions(oldest=1.0, length=0.0, target=0.0, rarity=0.0, agreement=2.0, fading=0.5)
    model.fit(log_of([0, 1, 2], [3, 1, 4], [5, 1, 4]))
    (scores,) = model.score(asked_of([0, 1]))
    assert scores[2] == 1.5**2
    assert scores[4] == 2 * 1.0**2


def test_what_came_later_weighs_by_its_distance():
    model = LikeSessions(
        oldest=1.0, length=0.0, target=0.0, rarity=0.0, ahead=0.5, behind=0.25, behind_fading=0.5
    )
    (scores,) = model.fit(log_of([6, 7, 1, 8, 9])).score(asked_of([1]))
    assert scores[[6, 7, 1, 8, 9]].tolist() == pytest.approx([0.125, 0.25, 0.7, 1.0, 0.5])


def test_the_oldest_session_weighs_least():
    model = LikeSessions(oldest=0.25, length=0.0, target=0.0, rarity=0.0)
    (scores,) = model.fit(log_of([1, 2], [1, 3], [1, 4])).score(asked_of([1]))
    assert scores[[2, 3, 4]].tolist() == [0.25, 0.5, 1.0]


def test_an_item_of_no_session_says_nothing():
    model = LikeSessions().fit(log_of([1, 2], [1, 3]))
    assert not model.score(asked_of([11], [])).any()


def test_nothing_learned_says_nothing():
    assert not LikeSessions().fit(log_of()).score(asked_of([1], [])).any()


def test_nobody_asked_is_no_row():
    assert LikeSessions().fit(log_of([1, 2])).score(asked_of()).shape == (0, N_ITEMS)
