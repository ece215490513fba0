import numpy as np
import pytest

from recommendations.algorithms.histories import DAY_MS
from recommendations.algorithms.sources import Boost
from recommendations.algorithms.sources.trend import Trend

from .histories import asked_at, log_of


def test_twice_the_usual_share_is_two():
    # Item 0 has a quarter of all events, but half of those of the last fortnight.
    old = [(0, 0, 0)] + [(0, 1, 0)] * 5
    late = [(0, 0, 90), (0, 2, 90)]
    rise = Trend(shrink=0).fit(log_of(old + late, n_items=3)).rise_
    assert rise.tolist() == [2, 0, 4]


def test_rare_item_hardly_moves():
    rows = [(0, 0, 90)] + [(0, 1, day) for day in range(91)]
    rise = Trend(shrink=5).fit(log_of(rows, n_items=3)).rise_
    assert rise[0] == pytest.approx((1 + 5) / (15 / 92 + 5))
    assert rise[2] == 1


def test_tilts_everybody_alike():
    source = Trend().fit(log_of([(0, 1, 0), (0, 2, 90)]))
    scores = source.score(asked_at(90, [(0, 1, 0), (1, 2, 0)]))
    assert isinstance(source, Boost)
    assert scores.tolist() == [source.rise_.tolist()] * 2


def test_log_without_events_has_no_trend():
    assert Trend().fit(log_of([], n_profiles=0)).rise_.tolist() == [1, 1, 1, 1]


def test_equals_a_loop():
    rng = np.random.default_rng(6)
    log = log_of(rng.integers([0, 0, 0], [6, 9, 100], (300, 3)).tolist(), n_items=9)
    newest = max(log.ts_ms)
    late = log.item[newest - log.ts_ms < 14 * DAY_MS].tolist()
    for item in range(9):
        usual = len(late) * sum(log.item == item) / 300
        slow = (late.count(item) + 5) / (usual + 5)
        assert Trend().fit(log).rise_[item] == pytest.approx(slow, rel=1e-6)
