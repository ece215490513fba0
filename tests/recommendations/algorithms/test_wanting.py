import numpy as np
import pytest

from recommendations.algorithms.ranking import ask, rank
from recommendations.algorithms.wanting import (
    Threshold,
    Wanting,
    column_of,
    list_thresholds,
    number_in_runs,
)

FADING = np.float32(0.7)


def lists(rng, *, items=40, top=6):
    """Neighbours and strengths as a model has them."""
    neighbours = np.full((items, top), -1, np.int32)
    strength = np.zeros((items, top), np.float32)
    for i in range(items):
        size = rng.integers(0, top + 1)
        neighbours[i, :size] = rng.choice(np.delete(np.arange(items), i), size, replace=False)
        strength[i, :size] = np.sort(rng.random(size).astype(np.float32) + np.float32(0.1))[::-1]
    return neighbours, strength


def touches(rng, *, profiles=30, items=40, events=500):
    """Profile and item, newest first; -1 is something else."""
    return rng.integers(0, profiles, events), rng.integers(-1, items, events).astype(np.int32)


def recent_of(u, profile, item, *, history, most):
    own = [int(i) for p, i in zip(profile, item, strict=True) if p == u][:most]
    return list(dict.fromkeys(i for i in own if i >= 0))[:history]


def obvious(column, profile, item, *, profiles, history, most):
    scores, because = [], []
    for u in range(profiles):
        score, factor, loudest, why = np.float32(0), np.float32(1), np.float32(0), -1
        for i in recent_of(u, profile, item, history=history, most=most):
            share = factor * column[i]
            score += share
            if share > loudest:
                loudest, why = share, i
            factor *= FADING
        scores.append(score)
        because.append(why)
    return np.array(scores, np.float32), np.array(because, np.int32)


def wanting(column, *, profiles=30, history=4, most=12, use_numba=True):
    return Wanting(
        column,
        n_profiles=profiles,
        history=history,
        fading=FADING,
        most_touches=most,
        use_numba=use_numba,
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("use_numba", [True, False])
def test_scores_are_those_of_the_obvious_loop_whatever_the_pieces(seed, pieces, use_numba):
    rng = np.random.default_rng(seed)
    column = column_of(3, *lists(rng))
    profile, item = touches(rng)
    found = wanting(column, use_numba=use_numba)
    for some in np.array_split(np.arange(profile.size), pieces):
        found.add(profile[some], item[some])
    scores, because = obvious(column, profile, item, profiles=30, history=4, most=12)
    assert found.scores_.tobytes() == scores.tobytes()
    assert found.because_.tolist() == because.tolist()
    assert (scores > 0).any()


def test_touches_of_who_is_full_change_no_score():
    rng = np.random.default_rng(4)
    column = column_of(3, *lists(rng))
    profile, item = touches(rng)
    found = wanting(column).add(profile[:150], item[:150])
    full, before = found.is_full(), found.scores_.copy()
    assert 0 < full.sum() < 30
    found.add(*touches(rng))
    assert found.scores_[full].tolist() == before[full].tolist()


def test_a_profile_wants_an_item_as_much_as_the_ranking_gives_it():
    rng = np.random.default_rng(1)
    neighbours, strength = lists(rng)
    profile, item = touches(rng)
    recent = [recent_of(u, profile, item, history=4, most=12) for u in range(30)]
    groups = np.full(40, -1, np.int32)
    ranked = rank(neighbours, strength, ask(recent, [[]] * 30), groups=groups, n=40, fading=FADING)
    for wanted in range(40):
        found = wanting(column_of(wanted, neighbours, strength)).add(profile, item)
        in_lists = np.where(ranked.items == wanted, ranked.scores, 0).max(axis=1)
        assert found.scores_.tobytes() == in_lists.tobytes()


def test_column_is_what_the_neighbours_say_of_the_item():
    neighbours, strength = lists(np.random.default_rng(2))
    expected = [
        next((float(s) for j, s in zip(row, values, strict=True) if j == 5), 0.0)
        for row, values in zip(neighbours, strength, strict=True)
    ]
    assert column_of(5, neighbours, strength).tolist() == expected


def test_nobody_wants_what_no_item_speaks_for():
    found = wanting(np.zeros(40, np.float32)).add(*touches(np.random.default_rng(3)))
    assert not found.scores_.any()
    assert (found.because_ == -1).all()


def test_nothing_is_no_touch():
    empty = np.zeros(0, np.int64)
    assert not wanting(np.ones(40, np.float32)).add(empty, empty.astype(np.int32)).scores_.any()


def test_runs_are_numbered_from_zero():
    assert number_in_runs(np.array([4, 4, 4, 7, 9, 9])).tolist() == [0, 1, 2, 0, 0, 1]


def test_thresholds_count_who_has_at_least_the_score():
    scores = np.array([9, 8, 7, 6, 5, 4, 3, 2, 2, 2], np.float32)
    found = list_thresholds(scores)
    assert found[0] == Threshold(0.1, 9.0, 1)
    assert found[6] == Threshold(0.7, 3.0, 7)
    assert found[7:] == [Threshold(part / 10, 2.0, 10) for part in (8, 9, 10)]
    for one in found:
        assert one.profiles == sum(score >= one.score for score in scores.tolist())


def test_of_fewer_than_ten_the_first_tenth_is_one():
    found = list_thresholds(np.array([3, 1], np.float32))
    assert [one.profiles for one in found] == [1] * 5 + [2] * 5


def test_without_anybody_there_is_no_threshold():
    assert list_thresholds(np.zeros(0, np.float32)) == []
