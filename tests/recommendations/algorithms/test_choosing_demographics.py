from statistics import NormalDist

import numpy as np
import pytest

from recommendations.algorithms.choosing_demographics import (
    choose,
    errors_of,
    find_newcomers,
    first_items,
)
from recommendations.algorithms.demographics import UNKNOWN, Attribute
from recommendations.algorithms.log import make_log
from recommendations.algorithms.popularity import DAY_MS
from recommendations.algorithms.recipe import Recipe

PEOPLE, ITEMS = 1_200, 60


def behaviour(*, days=70, seed=3):
    """Every other person takes from the upper half of the products, and comes one day only."""
    rng = np.random.default_rng(seed)
    profile = np.repeat(np.arange(PEOPLE), 4)
    upper = profile % 2 * (ITEMS // 2)
    item = upper + np.minimum(rng.geometric(0.1, profile.size) - 1, ITEMS // 2 - 1)
    came = np.repeat(rng.integers(0, days * DAY_MS, PEOPLE), 4)
    return make_log(
        profile, item, ts_ms=came + np.tile(np.arange(4), PEOPLE), n_items=ITEMS,
        n_profiles=PEOPLE,
    )  # fmt: skip


def telling(name="gender"):
    return Attribute(name, ["f", "m"], (np.arange(PEOPLE) % 2).astype(np.int32))


def idle(name, *, seed):
    code = np.random.default_rng(seed).integers(-1, 5, PEOPLE)
    return Attribute(name, list("abcde"), code.astype(np.int32))


def ask(log, attributes):
    return choose(log, attributes, recipe=Recipe(), sale_weight=5)


def test_attribute_that_tells_what_people_take_is_chosen():
    noise = [idle(f"a{seed}", seed=seed) for seed in range(4)]
    found = ask(behaviour(), [*noise, telling()])
    assert [one.name for one in found.attributes] == ["gender"]
    assert found.figures["used"] == ["gender"]
    assert found.figures["tried"] == 5
    assert found.figures["ndcg@10"] > 1.2 * found.figures[f"{found.base}_ndcg@10"]


@pytest.mark.parametrize("shop", range(5))
def test_twenty_attributes_that_tell_nothing_are_refused(shop):
    noise = [idle(f"a{seed:02}", seed=100 * shop + seed) for seed in range(20)]
    found = ask(behaviour(seed=shop), noise)
    assert found.attributes == []
    assert found.figures["ndcg@10"] == found.figures[f"{found.base}_ndcg@10"]


def test_second_attribute_that_says_the_same_is_not_taken():
    found = ask(behaviour(), [telling("gender"), telling("salutation")])
    assert [one.name for one in found.attributes] == ["gender"]


def test_same_log_gives_the_same_choice():
    one, other = (ask(behaviour(), [telling(), idle("a", seed=1)]) for _ in range(2))
    assert one.figures == other.figures


def test_newcomers_did_nothing_before_and_are_not_learned_from():
    log = behaviour()
    asked = find_newcomers(log, [telling()])
    assert asked.weeks == 2  # four would be more than a quarter of the ten
    since = int(log.ts_ms.max()) - 14 * DAY_MS
    assert int(asked.train.ts_ms.max()) <= since
    assert not np.isin(asked.profiles, asked.train.profile).any()
    first = np.array([log.ts_ms[log.profile == one].min() for one in range(PEOPLE)])
    assert asked.profiles.tolist() == np.flatnonzero(first > since).tolist()


def test_people_of_whom_nothing_is_known_are_not_asked():
    half = Attribute("gender", ["f"], np.where(np.arange(PEOPLE) % 2, UNKNOWN, 0).astype("i4"))
    assert (find_newcomers(behaviour(), [half]).profiles % 2 == 0).all()


def test_too_few_newcomers_choose_nothing():
    log = behaviour()
    few = Attribute("gender", ["f", "m"], np.full(PEOPLE, UNKNOWN, np.int32))
    few.code[:90] = 0
    assert ask(log, [few]) is None
    assert ask(log, []) is None
    assert ask(log.take(log.ts_ms < 0), [telling()]) is None


def test_first_items_are_ten_and_what_was_in_the_same_basket():
    moments = [*range(9), 9, 9, 9, 10]
    log = make_log(
        np.zeros(13, int), np.arange(13)[::-1], ts_ms=np.array(moments), n_items=13
    )  # fmt: skip
    assert first_items(log, 0, 13).tolist() == [12, 11, 10, 9, 8, 7, 6, 5, 4, 1, 2, 3]
    assert first_items(log, 0, 3).tolist() == [12, 11, 10]


def test_twenty_tries_are_wrong_as_often_as_one():
    assert errors_of(1) == pytest.approx(2.0)
    wrong = 1 - NormalDist().cdf(errors_of(20))
    assert 20 * wrong == pytest.approx(1 - NormalDist().cdf(2.0))
