import numpy as np
import pytest

from recommendations.algorithms.log import make_log
from recommendations.algorithms.popularity import DAY_MS, UNIT, Popularity, best_first


def log_of(rows):
    item, weight, day = np.array(rows).T
    return make_log(np.zeros(len(rows), int), item, weight=weight, ts_ms=day * DAY_MS, n_items=4)


def test_sales_of_sixty_days_ago_count_half():
    found = Popularity().fit(log_of([(0, 5, 0), (1, 5, 60), (2, 1, 60)]))
    assert found.sales_.tolist() == [UNIT // 2, UNIT, 0, 0]
    assert found.has_sales_ is True


def test_without_sales_every_touch_counts_by_weight():
    found = Popularity().fit(log_of([(0, 1, 0), (1, 3, 0)]))
    assert found.sales_.tolist() == [UNIT, 3 * UNIT, 0, 0]
    assert found.has_sales_ is False


def test_newcomer_on_the_rise_beats_a_steady_seller():
    steady = [(0, 1, day) for day in range(100)]
    rising = [(1, 1, day) for day in range(90, 100)]
    found = Popularity().fit(log_of(steady + rising))
    assert found.trend_[1] > found.trend_[0] > 0
    assert found.rise_[0] < 1 < found.rise_[1]


def test_untouched_for_a_fortnight_is_not_trending():
    found = Popularity().fit(log_of([(0, 5, 0), (1, 1, 14)]))
    assert found.trend_[0] == 0


def test_equals_a_loop():
    rng = np.random.default_rng(3)
    rows = rng.integers([0, 1, 0], [4, 6, 90], (200, 3)).tolist()
    log = log_of(rows)
    newest = max(day for _, _, day in rows)
    sales, recent, ever = [0] * 4, [0] * 4, [0] * 4
    for item, weight, day in rows:
        sales[item] += round(UNIT * 0.5 ** ((newest - day) / 60)) if weight >= 5 else 0
        recent[item] += int(weight) if newest - day < 14 else 0
        ever[item] += int(weight)
    found = Popularity().fit(log)
    assert found.sales_.tolist() == sales
    for i in range(4):
        rise = (recent[i] / sum(recent) + 1e-5) / (ever[i] / sum(ever) + 1e-5)
        assert found.trend_[i] == pytest.approx(recent[i] * rise**0.75)


def test_best_come_first_and_ties_by_number():
    assert best_first(np.array([0.0, 2.0, 5.0, 2.0])).tolist() == [2, 1, 3]
