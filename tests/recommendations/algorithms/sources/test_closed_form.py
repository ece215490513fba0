"""EASE, next-item ridge and the low-pass term against their textbook forms in float64."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.algorithms.log import matrix
from recommendations.algorithms.sources.ease import Ease
from recommendations.algorithms.sources.inverse import inverted, mirror
from recommendations.algorithms.sources.lowpass import LowPass, leading
from recommendations.algorithms.sources.ridge import NextRidge
from tests.recommendations.algorithms.logs import ask, log_of, random_paths

N_ITEMS = 6


@pytest.fixture
def paths():
    return random_paths(np.random.default_rng(5), people=20, n_items=N_ITEMS)


def test_the_inverse_is_the_inverse():
    rng = np.random.default_rng(0)
    rows = rng.random((9, 5))
    gram = (rows.T @ rows).astype(np.float32)
    wanted = np.linalg.inv(gram.astype(np.float64) + 0.5 * np.eye(5))
    assert inverted(gram, penalty=0.5) == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_a_penalty_that_is_too_small_is_an_error():
    with pytest.raises(ValueError, match="too small"):
        inverted(np.zeros((3, 3), np.float32), penalty=0.0)


def test_ease_is_its_closed_form(paths):
    log = log_of(*paths, n_items=N_ITEMS)
    met = matrix(log, cap=100).toarray().astype(np.float64)
    inverse = np.linalg.inv(met.T @ met + 2.0 * np.eye(N_ITEMS))
    wanted = -inverse / np.diag(inverse)
    np.fill_diagonal(wanted, 0)
    found = Ease(penalty=2.0).fit(log)
    assert found.weights_ == pytest.approx(wanted, abs=1e-4)
    scores = found.score(ask([0, 3], n_items=N_ITEMS))[0]
    assert scores == pytest.approx(np.maximum(wanted[0] + wanted[3], 0), abs=1e-4)


def features(path: list[int], *, fading: float) -> np.ndarray:
    row = np.zeros(N_ITEMS)
    for distance, item in enumerate(reversed(path)):
        row[item] += fading**distance
    return row / (np.linalg.norm(row) or 1)


def examples(paths, *, two_blocks: bool):
    x, y = [], []
    for path in paths:
        steps = [a for a, b in zip(path, [*path[1:], None], strict=True) if a != b]
        for at in range(1, len(steps)):
            before = steps[:at]
            if two_blocks:
                last = np.eye(N_ITEMS)[before[-1]]
                x.append(np.concatenate([last, features(before[:-1], fading=0.5)]))
            else:
                x.append(features(before, fading=0.5))
            y.append(np.eye(N_ITEMS)[steps[at]])
    return np.array(x), np.array(y)


@pytest.mark.parametrize("two_blocks", [False, True])
def test_next_ridge_is_its_normal_equation(paths, two_blocks):
    x, y = examples(paths, two_blocks=two_blocks)
    wanted = np.linalg.solve(x.T @ x + 3.0 * np.eye(x.shape[1]), x.T @ y)
    found = NextRidge(penalty=3.0, fading=0.5, two_blocks=two_blocks)
    found.fit(log_of(*paths, n_items=N_ITEMS))
    assert found.weights_ == pytest.approx(wanted, abs=1e-4)


def test_next_ridge_asks_with_the_features_it_learned_from():
    found = NextRidge(fading=0.5).fit(log_of([0, 1, 2], [0, 1, 2], n_items=3))
    scores = found.score(ask([0, 1], n_items=3))
    wanted = np.array([[0.5, 1, 0]]) / np.sqrt(1.25) @ found.weights_
    assert scores == pytest.approx(np.maximum(wanted, 0), abs=1e-6)


def test_low_pass_of_full_rank_is_the_item_similarity(paths):
    log = log_of(*paths, n_items=N_ITEMS)
    met = matrix(log, cap=100).toarray().astype(np.float64)
    root = np.sqrt(met.sum(axis=0))
    even = met / np.sqrt(met.sum(axis=1, keepdims=True)) / root
    _, _, directions = np.linalg.svd(even, full_matrices=False)
    wanted = (np.eye(N_ITEMS)[2] / root) @ directions[:3].T @ directions[:3] * root
    scores = LowPass(rank=3).fit(log).score(ask([2], n_items=N_ITEMS))[0]
    assert scores == pytest.approx(np.maximum(wanted, 0), abs=1e-3)


def test_low_pass_is_the_same_bits_twice(paths):
    log = log_of(*paths, n_items=N_ITEMS)
    first, second = (LowPass(rank=2).fit(log).directions_ for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_leading_directions_are_those_of_the_whole_decomposition():
    rng = np.random.default_rng(8)
    turned = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    rows = rng.standard_normal((300, 60)) * 0.8 ** np.arange(60) @ turned
    matrix = csr_matrix(rows.astype(np.float32))
    found = leading(matrix, rank=6, rng=np.random.default_rng(0))
    exact = np.linalg.svd(rows)[2][:6]
    assert found @ found.T == pytest.approx(np.eye(6), abs=1e-5)
    assert np.abs(found @ exact.T) == pytest.approx(np.eye(6), abs=0.02)
    assert ((rows @ found.T) ** 2).sum() == pytest.approx(((rows @ exact.T) ** 2).sum(), rel=1e-4)


@pytest.mark.parametrize("size", [1, 511, 512, 1_100])
def test_mirrored_matrix_is_its_upper_half_twice(size):
    whole = np.random.default_rng(2).standard_normal((size, size)).astype(np.float32)
    wanted = np.triu(whole) + np.triu(whole, 1).T
    mirror(whole)
    assert whole.tobytes() == wanted.tobytes()
