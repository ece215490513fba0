from math import log, sqrt

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import DAY_MS
from recommendations.algorithms.sources.content import Content

from .histories import asked_at, log_of

# mug red, mug blue, hat red, nothing known
WORDS = csr_matrix(
    np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=np.bool_)
)


def test_item_that_nobody_met_is_found_by_its_words():
    asked = asked_at(0, [(0, 0, 0)])
    scores = Content(WORDS).fit(log_of([(0, 0, 0)])).score(asked)[0]
    assert scores[0] == pytest.approx(1)
    assert scores[1] == scores[2] > 0  # each shares one word of the same rarity
    assert scores[3] == 0


def test_history_without_words_has_no_opinion():
    scores = Content(WORDS).fit(log_of([])).score(asked_at(0, [(0, 3, 0)]))
    assert scores.tolist() == [[0, 0, 0, 0]]


def test_equals_a_loop():
    rng = np.random.default_rng(7)
    words = rng.random((8, 12)) < 0.3
    asked = asked_at(50, rng.integers([0, 0, 0], [4, 8, 50], (20, 3)).tolist(), n_items=8)
    described = words[words.any(axis=1)]
    rarity = [log((1 + len(described)) / (1 + sum(column))) + 1 for column in described.T]
    rows = [length_one(row * rarity) for row in words]
    found = (
        Content(csr_matrix(words), half_life_days=30, evenness=0.7).fit(log_of([])).score(asked)
    )
    for question in range(4):
        last = {}
        mine = asked.question == question
        for item, ts_ms in zip(asked.item[mine], asked.ts_ms[mine], strict=True):
            last[item] = 0.5 ** ((50 - ts_ms / DAY_MS) / 30)
        profile = length_one(sum(worth * rows[item] for item, worth in last.items()) ** 0.7)
        assert found[question] == pytest.approx([profile @ row for row in rows], abs=1e-5)


def length_one(row):
    return row / (sqrt(sum(row**2)) or 1)
