"""What a person had before, offered again."""

import pytest

from recommendations import serve
from recommendations.algorithms.recipe import Recipe
from tests.factories import NOON
from tests.recommendations.shops import BUY, change, log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d"]
BASKETS = [["a", "b"]] * 4 + [["a", "c"]] * 2


@pytest.fixture
def shop():
    catalog = make_shop(IDS)
    publish(log_of(BASKETS, IDS), IDS, recipe=Recipe(top=20, again=4.0))
    return catalog


def ask(*touches, n=3, **options):
    asked = {"repeats": True, "exclude_events": {}, "ladder": ["personal"], "now": NOON}
    (found,) = serve.recommend([who(*touches)], n=n, **(asked | options))
    return [(pick.item, pick.source, pick.reason) for pick in found.picks]


def test_what_was_bought_is_offered_again_before_what_goes_with_it(shop):
    assert ask(touch("a", BUY)) == [
        ("a", "again", "you bought it before"),
        ("b", "next", "because you bought A"),
        ("c", "next", "because you bought A"),
    ]


def test_often_and_lately_come_first(shop):
    often = [touch("d", hours_ago=hours) for hours in (30, 60, 90)]
    found = ask(*often, touch("b", hours_ago=24 * 120), n=3)
    own = [item for item, source, _ in found if source == "again"]
    assert own == ["d", "b"]
    assert found[0] == ("d", "again", "you came back to it before")


def test_without_repeats_it_is_left_out(shop):
    assert "a" not in [item for item, *_ in ask(touch("a", BUY), repeats=False)]


def test_sold_out_and_excluded_are_not_offered_again(shop):
    change(shop, "a", in_stock=False)
    assert "a" not in [item for item, *_ in ask(touch("a", BUY))]
    change(shop, "a", in_stock=True)
    assert "a" not in [item for item, *_ in ask(touch("a", BUY), exclude_events={BUY: 30})]


def test_a_shop_without_repeats_weighs_them_nothing(shop):
    publish(log_of(BASKETS, IDS), IDS, recipe=Recipe(top=20, again=0.0))
    assert [source for _, source, _ in ask(touch("a", BUY), n=2)] == ["next", "next"]


def test_one_variant_of_ones_own_is_enough():
    ids = ["a", "m-1", "m-2"]
    make_shop(ids, group_id=["", "m", "m"])
    publish(log_of([["a", "m-1"], ["a", "m-2"]] * 3, ids), ids, recipe=Recipe(top=20, again=4.0))
    found = ask(touch("m-1", BUY), touch("m-2", BUY, hours_ago=2))
    assert [item for item, *_ in found] == ["m-1", "a"]
