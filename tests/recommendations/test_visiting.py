"""Strangers after two clicks are served by visits like theirs."""

import dataclasses

import pytest

from recommendations import serve
from recommendations.algorithms.recipe import Recipe
from tests.factories import NOON
from tests.recommendations.shops import change, log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e"]
# c comes after a and b together; after either alone it is d or e.
VISITS = [["a", "b", "c"]] * 3 + [["a", "d"]] * 6 + [["b", "e"]] * 6
RECIPE = Recipe(top=20, visits=4.0)
WORDS = "people with visits like yours went on to it"


@pytest.fixture
def shop():
    catalog = make_shop(IDS)
    publish(log_of(VISITS, IDS), IDS, recipe=RECIPE)
    return catalog


def ask(*touches, n=1, **options):
    asked = {"ladder": ["personal"], "now": NOON}
    (found,) = serve.recommend([who(*touches)], n=n, **(asked | options))
    return [(pick.item, pick.source, pick.reason) for pick in found.picks]


def test_two_clicks_together_say_what_neither_says_alone(shop):
    both = touch("b", hours_ago=1), touch("a", hours_ago=2)
    assert ask(*both) == [("c", "visits", WORDS)]
    plain = dataclasses.replace(RECIPE, visits=0.0)
    publish(log_of(VISITS, IDS), IDS, recipe=plain)
    assert ask(*both)[0][1] == "next"


def test_one_click_is_served_by_its_own_list(shop):
    assert ask(touch("a"))[0][1] == "next"


def test_what_may_not_be_shown_is_not_shown_for_a_visit_either(shop):
    change(shop, "c", in_stock=False)
    assert "c" not in [item for item, *_ in ask(touch("b"), touch("a", hours_ago=2), n=5)]


def test_what_was_seen_is_not_recommended_back(shop):
    found = ask(touch("c"), touch("b", hours_ago=2), touch("a", hours_ago=3), n=5)
    assert {item for item, *_ in found} <= {"d", "e"}
