import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommendations.algorithms.ranking import ask, rank

N = 12


@st.composite
def questions(draw):
    """Rows without repetition, padded; people with recent and blocked items; groups; a mask."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    top = draw(st.integers(1, 6))
    neighbours = np.full((N, top), -1, np.int32)
    strength = np.zeros((N, top), np.float32)
    for i in range(N):
        size = int(rng.integers(0, top + 1))
        neighbours[i, :size] = rng.permutation(N)[:size]
        # Few distinct values, so that ties happen.
        strength[i, :size] = -np.sort(-rng.integers(1, 4, size)) / 4
    people = draw(st.integers(1, 5))

    def pick(most):
        return [rng.permutation(N)[: rng.integers(0, most)].tolist() for _ in range(people)]

    return {
        "neighbours": neighbours,
        "strength": strength,
        "recent": pick(6),
        "blocked": pick(5),
        "groups": rng.integers(-2, 3, N).astype(np.int32),
        "n": draw(st.integers(1, 5)),
    }


def slowly(q, u):
    """One person, with dictionaries."""
    sums, shares = {}, {}
    for k, i in enumerate(q["recent"][u]):
        for j, s in zip(q["neighbours"][i].tolist(), q["strength"][i], strict=True):
            if j >= 0:
                share = np.prod(np.full(k, 0.6, np.float32), dtype=np.float32) * s
                sums[j] = sums.get(j, np.float32(0)) + share
                shares.setdefault(j, []).append((k, share))
    allowed = [j for j in sums if q["groups"][j] >= -1 and j not in q["blocked"][u]]
    picks, groups = [], set()
    for j in sorted(allowed, key=lambda j: (-sums[j], j)):
        group = int(q["groups"][j])
        if group not in groups and len(picks) < q["n"]:
            picks.append(j)
            groups |= {group} - {-1}
    loudest = [max(shares[j], key=lambda pair: (pair[1], -pair[0]))[0] for j in picks]
    return picks, [float(sums[j]) for j in picks], loudest


def answer(q, **options):
    asked = ask(q["recent"], q["blocked"])
    return rank(q["neighbours"], q["strength"], asked, groups=q["groups"], n=q["n"], **options)


@given(questions())
@settings(max_examples=200, deadline=None)
def test_kernel_twin_and_dictionaries_agree(q):
    fast, twin = answer(q), answer(q, use_numba=False)
    assert fast.items.tobytes() == twin.items.tobytes()
    assert fast.scores.tobytes() == twin.scores.tobytes()
    assert fast.because.tobytes() == twin.because.tobytes()
    assert fast.places.tobytes() == twin.places.tobytes()
    for u in range(len(q["recent"])):
        picks, scores, loudest = slowly(q, u)
        kept = fast.items[u] >= 0
        assert fast.items[u, kept].tolist() == picks
        assert fast.scores[u, kept].tolist() == scores
        assert fast.because[u, kept].tolist() == loudest
        said_by = [q["recent"][u][k] for k in loudest]
        assert q["neighbours"][said_by, fast.places[u, kept]].tolist() == picks


@given(questions())
@settings(max_examples=50, deadline=None)
def test_one_at_a_time_equals_all_at_once(q):
    together = answer(q)
    for u in range(len(q["recent"])):
        alone = answer(q | {"recent": [q["recent"][u]], "blocked": [q["blocked"][u]]})
        assert alone.items[0].tolist() == together.items[u].tolist()
        assert alone.scores[0].tolist() == together.scores[u].tolist()


@pytest.mark.parametrize("use_numba", [True, False])
def test_nobody_to_rank_for(use_numba):
    q = {
        "neighbours": np.zeros((2, 1), np.int32),
        "strength": np.ones((2, 1), np.float32),
        "recent": [],
        "blocked": [],
        "groups": np.full(2, -1, np.int32),
        "n": 3,
    }
    assert answer(q, use_numba=use_numba).items.shape == (0, 3)


def test_without_numba_the_twin_answers(monkeypatch):
    from recommendations.algorithms import ranking

    monkeypatch.setattr(ranking, "find_kernels", lambda: None)
    q = {
        "neighbours": np.array([[1], [0]], np.int32),
        "strength": np.ones((2, 1), np.float32),
        "recent": [[0]],
        "blocked": [[]],
        "groups": np.full(2, -1, np.int32),
        "n": 1,
    }
    assert answer(q).items.tolist() == [[1]]
