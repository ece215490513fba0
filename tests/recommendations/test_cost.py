"""What pins and boosts cost, by hand: a is met with b always, with c mostly, with d rarely."""

import pytest

from recommendations import cost, policy, serve
from tests.factories import NOON
from tests.recommendations.shops import log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e"]
ANN = who(touch("a"))


@pytest.fixture(autouse=True)
def shop():
    make_shop(IDS)
    publish(log_of([["a", "b", "c", "d"], ["a", "b", "c"], ["a", "b"], ["e"]], IDS), IDS)


def weigh(*people, n=2, **wishes):
    options = {"n": n, "ladder": ["personal"], "now": NOON}
    return cost.weigh(people or [ANN], ranking=policy.parse(wishes), **options)


def relevances():
    """Of b, c and d to ann, as shares of the best."""
    (found,) = serve.recommend([ANN], n=3, ladder=["personal"], now=NOON)
    return [pick.score / found.picks[0].score for pick in found.picks]


def test_pin_costs_what_it_pushes_out():
    b, c, d = relevances()
    found = weigh(pins=[{"place": 1, "item": "d"}])
    assert found.share == pytest.approx(1 - (d + b) / (b + c))


def test_pin_of_what_would_stand_there_anyway_costs_nothing():
    assert weigh(pins=[{"place": 2, "item": "b"}]).share == pytest.approx(0)


def test_pin_that_is_no_candidate_has_no_relevance():
    b, c, _ = relevances()
    assert weigh(pins=[{"place": 1, "item": "e"}]).share == pytest.approx(1 - b / (b + c))


def test_boost_costs_what_it_pushes_out():
    b, c, d = relevances()
    only_d = {"column": "id", "op": "=", "value": "d"}
    found = weigh(boosts=[{"filter": only_d, "factor": 50}])
    assert found.share == pytest.approx(1 - (d + b) / (b + c))


def test_variety_is_on_both_sides():
    assert weigh(variety=0.5) is None
    assert weigh(variety=0.5, pins=[{"place": 1, "item": "b"}]).share == pytest.approx(0)


def test_people_who_get_nothing_either_way_say_nothing():
    found = weigh(ANN, who(), pins=[{"place": 1, "item": "d"}])
    assert found.people == 1


def test_nobody_is_no_error():
    found = cost.weigh(
        [], ranking=policy.parse({"pins": [{"place": 1, "item": "d"}]}), n=2, now=NOON
    )
    assert (found.people, found.share) == (0, 0)
