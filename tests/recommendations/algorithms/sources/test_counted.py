"""The counted sources against twins that take every pair in a loop."""

import numpy as np
import pytest

from recommendations.algorithms.correlation import UNIT
from recommendations.algorithms.sources.following import Following
from recommendations.algorithms.sources.popular import Popular
from recommendations.algorithms.sources.together import Together
from tests.recommendations.algorithms.logs import ask, log_of, random_paths

N_ITEMS = 7


def history_weights(path: list[int], *, fading: float) -> dict[int, float]:
    newest_first = list(dict.fromkeys(reversed(path)))
    return {item: fading**place for place, item in enumerate(newest_first)}


def together_by_hand(paths, path, *, source, target, fading):
    met = [set(one) for one in paths]
    often = [sum(item in one for one in met) for item in range(N_ITEMS)]
    scores = [0.0] * N_ITEMS
    for i, weight in history_weights(path, fading=fading).items():
        for j in range(N_ITEMS):
            for one in met:
                if i != j and i in one and j in one:
                    damped = max(round(UNIT * len(one) ** -0.5), 1) / UNIT
                    scores[j] += weight * damped / (often[i] ** source * often[j] ** target)
    return scores


def following_by_hand(paths, path, source: Following):
    steps = [[a for a, b in zip(one, [*one[1:], None], strict=True) if a != b] for one in paths]
    often = [sum(one.count(item) for one in steps) for item in range(N_ITEMS)]
    pairs = np.zeros((N_ITEMS, N_ITEMS))
    for one in steps:
        for a in range(len(one)):
            for b in range(a + 1, min(a + source.window, len(one) - 1) + 1):
                if one[a] != one[b]:
                    worth = source.decay ** (b - a - 1)
                    pairs[one[a], one[b]] += worth
                    pairs[one[b], one[a]] += source.backward * worth
    scores = [0.0] * N_ITEMS
    for i, weight in history_weights(path, fading=source.fading).items():
        for j in range(N_ITEMS):
            if pairs[i, j]:
                tilted = often[i] ** source.source * often[j] ** source.target
                scores[j] += weight * pairs[i, j] / tilted
    return scores


@pytest.fixture
def paths():
    return random_paths(np.random.default_rng(3), people=12, n_items=N_ITEMS)


def test_together_is_the_sum_over_shared_profiles(paths):
    found = Together(source=0.6, target=0.4, fading=0.5).fit(log_of(*paths, n_items=N_ITEMS))
    for path in ([0, 1, 2], [5], []):
        wanted = together_by_hand(paths, path, source=0.6, target=0.4, fading=0.5)
        scores = found.score(ask(path, n_items=N_ITEMS))[0]
        assert scores == pytest.approx(np.array(wanted), rel=1e-5)


def test_following_is_the_sum_over_steps_in_the_window(paths):
    found = Following(window=3).fit(log_of(*paths, n_items=N_ITEMS))
    for path in ([0, 1, 2], [5], []):
        wanted = following_by_hand(paths, path, found)
        assert found.score(ask(path, n_items=N_ITEMS))[0] == pytest.approx(
            np.array(wanted), rel=1e-5
        )


def test_a_window_of_one_without_backward_is_what_came_next():
    found = Following(window=1, backward=0.0, source=0, target=0).fit(
        log_of([0, 1], [0, 2], [0, 1, 3], n_items=4)
    )
    assert found.score(ask([0], n_items=4)).tolist() == [[0, 2, 1, 0]]


def test_popular_counts_the_later_steps_more():
    log = log_of([0, 1], [2, 1], n_items=3)
    assert Popular().fit(log).score(ask([], n_items=3)).tolist() == [[1, 2, 1]]
    lately = Popular(half_life_steps=1).fit(log).score(ask([], n_items=3))
    assert lately.tolist() == [[0.5, 2, 0.5]]


def test_sources_learn_nothing_from_an_empty_log():
    empty = log_of([], n_items=3)
    for source in (Together(), Following(), Popular()):
        assert source.fit(empty).score(ask([1], n_items=3)).tolist() == [[0, 0, 0]]
