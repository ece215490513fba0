"""Filters that refer to the trigger, the event or the profile, through the recommender."""

import pytest

from catalog import filters
from engage.lib.errors import InvalidInput
from recommendations import serve, shelf
from recommendations.context import Context, list_strangers
from tests.factories import NOON
from tests.recommendations.shops import (
    change,
    log_of,
    make_shop,
    publish,
    touch,
    who,
)

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e", "f"]  # prices 10 to 15


def of(context: str, column: str, op: str = "=", **more):
    return filters.parse({"column": column, "op": op, "value": {"context": context, **more}})


SAME_CATEGORY = of("trigger.category", "category")
A_LITTLE_DEARER = of("trigger.price", "price", "<=", times=1.2)


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=["x", "x", "x", "y", "y", "y"])
    publish(log_of([["a", "b", "c"], ["d", "e", "f"], ["a", "d"]], IDS), IDS)
    return catalog


def ask(*people, **options):
    found = serve.recommend(people, **({"now": NOON, "n": 6} | options))
    return [sorted(pick.item for pick in one.picks) for one in found]


def test_trigger_is_the_product_touched_last(shop):
    assert ask(who(touch("a")), filter=SAME_CATEGORY, ladder=["best_sellers"]) == [["a", "b", "c"]]


def test_trigger_is_the_product_of_the_event_where_there_is_one(shop):
    contexts = [Context(items=["gone", "d"])]
    assert ask(who(touch("a")), filter=SAME_CATEGORY, contexts=contexts) == [["d", "e", "f"]]


def test_trigger_is_the_product_asked_about(shop):
    assert ask(who(touch("a")), filter=SAME_CATEGORY, item="d") == [["e", "f"]]


def test_event_about_products_we_do_not_have_lets_nothing_through(shop):
    assert ask(who(touch("a")), filter=SAME_CATEGORY, contexts=[Context(items=["gone"])]) == [[]]


def test_nobody_without_a_trigger_is_shown_anything(shop):
    assert ask(who(), filter=SAME_CATEGORY) == [[]]


def test_number_is_multiplied(shop):
    people = [who(touch("a")), who(touch("c"))]  # 10 and 12: up to 12 and 14.4
    found = ask(*people, filter=A_LITTLE_DEARER, ladder=["best_sellers"])
    assert found == [["a", "b", "c"], ["a", "b", "c", "d", "e"]]


def test_event_and_profile_give_values_of_their_own(shop):
    contexts = [Context(event={"most": 11}, profile={"likes": {"category": "y"}})]
    assert ask(who(), filter=of("event.most", "price", "<="), contexts=contexts) == [["a", "b"]]
    likes = of("profile.likes.category", "category")
    assert ask(who(), filter=likes, contexts=contexts) == [["d", "e", "f"]]


def test_everybody_of_a_batch_has_their_own_values(shop):
    people = [who(touch("a")), who(touch("d")), who(), who(touch("b"))]
    together = ask(*people, filter=SAME_CATEGORY)
    assert together == [ask(person, filter=SAME_CATEGORY)[0] for person in people]


def test_mask_is_made_once_per_different_value_and_few_are_kept(shop, monkeypatch):
    made = []
    make = shelf.allowed
    monkeypatch.setattr(shelf, "allowed", lambda *args: made.append(1) or make(*args))
    monkeypatch.setattr(shelf, "KEPT_RELATIVE", 1)
    ask(*[who(touch(name)) for name in "adbecf"], filter=SAME_CATEGORY)
    assert len(made) == 2
    assert len(shelf.current("default").relative_choices) == 1


def test_column_that_the_catalog_lacks_lets_nothing_through(shop):
    assert ask(who(touch("a")), filter=of("trigger.brand", "category")) == [[]]


def test_card_is_checked_against_the_persons_own_filter(shop):
    people = [who(touch("a")), who(touch("d"))]
    found = serve.recommend(people, filter=SAME_CATEGORY, ladder=["best_sellers"], n=6, now=NOON)
    change(shop, "b", category="y")
    cards = serve.list_cards(found, filter=SAME_CATEGORY)
    assert [[pick.item for pick, _ in one] for one in cards] == [["a", "c"], ["d", "e", "f"]]


def test_contexts_that_are_not_one_per_person_are_refused(shop):
    with pytest.raises(InvalidInput, match="2 people have 1 contexts"):
        ask(who(), who(), contexts=[Context()])


def test_reference_to_nothing_we_know_is_found():
    assert list_strangers(of("basket.total", "price")) == ["basket.total"]
    assert list_strangers(SAME_CATEGORY) == []
