import numpy as np
import pytest

from recommendations.algorithms import demographics
from recommendations.algorithms.demographics import (
    KEPT,
    NOBODY,
    SHRINK,
    UNKNOWN,
    Attribute,
    count_met,
    each_once,
    learn,
    lift,
    score,
)
from recommendations.algorithms.log import make_log
from recommendations.algorithms.popularity import DAY_MS, UNIT
from tests.recommendations.shops import random_log

COUNTRIES = ["AT", "DE", "FR"]


def everybody_met(profiles: int, items: int = 1):
    """Each profile met item 0, ..., at the same moment."""
    profile = np.repeat(np.arange(profiles), items)
    return make_log(profile, np.tile(np.arange(items), profiles), n_items=items)


def random_attribute(profiles: int, *, seed: int = 2) -> Attribute:
    code = np.random.default_rng(seed).integers(-1, len(COUNTRIES), profiles)
    return Attribute("country", COUNTRIES, code.astype(np.int32))


def slow_lift(log, attribute, *, half_life_days):
    """Event by event."""
    newest = int(log.ts_ms.max())
    last = {}
    for profile, item, ts_ms in zip(log.profile, log.item, log.ts_ms, strict=True):
        key = int(profile), int(item)
        last[key] = max(last.get(key, 0), int(ts_ms))
    people = {number: set() for number in range(len(attribute.values))}
    for profile, _ in last:
        if attribute.code[profile] >= 0:
            people[int(attribute.code[profile])].add(profile)
    met = np.zeros((len(attribute.values), log.n_items))
    everybody = np.zeros(log.n_items)
    for (profile, item), ts_ms in last.items():
        fresh = round(UNIT * 0.5 ** ((newest - ts_ms) // DAY_MS / half_life_days))
        everybody[item] += fresh
        value = int(attribute.code[profile])
        if value >= 0 and len(people[value]) >= demographics.LEAST_PEOPLE:
            met[value, item] += fresh
    expected = met.sum(axis=1)[:, None] * (everybody / everybody.sum())
    return (met + SHRINK) / (expected + SHRINK)


def test_lift_is_that_of_the_slow_twin():
    log = random_log(profiles=150, events=3_000)
    attribute = random_attribute(150)
    met = count_met(each_once(log), attribute, half_life_days=20)
    found = lift(met, np.arange(log.n_items, dtype=np.int32))
    assert met.enough.all()
    np.testing.assert_allclose(found, slow_lift(log, attribute, half_life_days=20), rtol=1e-12)


def test_lift_of_a_known_case():
    """Forty people met item 0 once; thirty of them, all from DE, met item 1 too."""
    profile = np.append(np.arange(40), np.arange(30))
    item = np.append(np.zeros(40, int), np.ones(30, int))
    log = make_log(profile, item, n_items=2)
    germans = Attribute("country", ["DE"], np.where(np.arange(40) < 30, 0, UNKNOWN).astype("i4"))
    met = count_met(each_once(log), germans, half_life_days=60)
    found = lift(met, np.array([0, 1], np.int32))
    assert found.tolist() == [
        [pytest.approx(33 / (60 * 40 / 70 + 3)), pytest.approx(33 / (60 * 30 / 70 + 3))]
    ]


def test_touching_one_thing_again_and_again_counts_once():
    log = everybody_met(40, items=2)
    keen = make_log(
        np.append(log.profile, np.zeros(500, int)),
        np.append(log.item, np.zeros(500, int)),
        n_items=2,
    )
    attribute = Attribute("country", ["DE"], np.zeros(40, np.int32))
    one, other = (
        count_met(each_once(each), attribute, half_life_days=60).items for each in (log, keen)
    )
    assert (one != other).nnz == 0


@pytest.mark.parametrize(("people", "known"), [(19, False), (20, True)])
def test_value_of_fewer_than_twenty_people_is_dropped(people, known):
    log = everybody_met(60)
    code = np.where(np.arange(60) < people, 0, 1).astype(np.int32)
    found = learn(log, [Attribute("tier", ["gold", "plain"], code)], np.ones(1), half_life_days=60)
    assert found.values == {"tier": ["gold", "plain"] if known else ["plain"]}
    assert found.lift.shape == (1 + known, 1)


def test_people_who_did_nothing_do_not_count_towards_the_twenty():
    log = everybody_met(19)
    code = np.zeros(40, np.int32)  # 21 more of whom nothing is in the log
    log = make_log(log.profile, log.item, n_items=1, n_profiles=40)
    assert learn(log, [Attribute("tier", ["gold"], code)], np.ones(1), half_life_days=60) is NOBODY


def test_rows_stand_in_the_order_of_names_and_values():
    log = random_log(profiles=150, events=3_000)
    country = random_attribute(150)
    tier = Attribute("age", ["old", "young"], (np.arange(150) % 2).astype(np.int32))
    found = learn(log, [country, tier], np.ones(log.n_items), half_life_days=60)
    assert list(found.values.items()) == [("age", ["old", "young"]), ("country", COUNTRIES)]
    assert found.items.tolist() == list(range(log.n_items))
    alone = learn(log, [tier], np.ones(log.n_items), half_life_days=60)
    np.testing.assert_array_equal(found.lift[:2], alone.lift)


def test_candidates_are_the_best_of_everybody_and_of_each_value():
    """What only the French met would never be among the best two hundred of all."""
    n_items = 2 * KEPT
    profile = np.append(np.repeat(np.arange(30), KEPT), np.arange(30, 60))
    item = np.append(np.tile(np.arange(KEPT), 30), np.full(30, n_items - 1))
    log = make_log(profile, item, n_items=n_items)
    french = Attribute("country", ["DE", "FR"], (np.arange(60) >= 30).astype(np.int32))
    popular = np.arange(n_items, 0, -1)
    found = learn(log, [french], popular, half_life_days=60)
    assert found.items.tolist() == [*range(KEPT), n_items - 1]


def test_nothing_known_is_nobody():
    log = everybody_met(30)
    assert learn(log, [], np.ones(1), half_life_days=60) is NOBODY


def test_several_values_multiply():
    lifts = np.array([[2.0, 1.0], [0.5, 4.0]], np.float32)
    assert score(lifts, np.array([10, 3]), [0, 1]).tolist() == [10.0, 12.0]
    assert score(lifts, np.array([10, 3]), []).tolist() == [10.0, 3.0]
