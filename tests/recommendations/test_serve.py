import pytest

from catalog import filters, snapshot
from engage.lib.errors import InvalidInput
from engage.profiles.identity import find_profile_id
from recommendations import serve, shelf
from recommendations.algorithms.recipe import Recipe
from recommendations.models import HandPicked
from tests.factories import NOON, make_catalog, make_product, make_profile
from tests.recommendations.shops import (
    BUY,
    CART,
    change,
    log_of,
    make_shop,
    publish,
    store_history,
    touch,
    who,
)

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e", "f"]
BASKETS = [["a", "b", "c"]] * 3 + [["a", "b"]] * 2 + [["d", "e"]] * 2 + [["f"]]


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=["x", "x", "x", "y", "y", "y"])
    publish(log_of(BASKETS, IDS), IDS)
    return catalog


def ask(*people, **options):
    return serve.recommend(people or [who()], **({"now": NOON, "n": 3} | options))


def items(filled):
    return [pick.item for pick in filled.picks]


def rungs(filled):
    return [pick.rung for pick in filled.picks]


def test_neighbours_of_what_was_viewed_come_first(shop):
    (found,) = ask(who(touch("a")), n=2)
    assert items(found) == ["b", "c"]
    assert rungs(found) == ["personal", "personal"]
    assert [pick.reason for pick in found.picks] == ["because you viewed A"] * 2
    assert [pick.rank for pick in found.picks] == [1, 2]
    assert found.short is False


def test_a_person_is_served_by_as_many_touches_as_the_build_chose(shop):
    visitor = who(touch("f", hours_ago=1), touch("a", hours_ago=2))
    publish(log_of(BASKETS, IDS), IDS, recipe=Recipe(top=20, history=1))
    assert "personal" not in rungs(ask(visitor, n=1)[0])  # nobody had anything beside f
    publish(log_of(BASKETS, IDS), IDS, recipe=Recipe(top=20, history=2))
    assert items(ask(visitor, n=1)[0]) == ["b"]


def test_older_touches_speak_as_loudly_as_the_build_chose(shop):
    visitor = who(touch("d", hours_ago=1), touch("a", hours_ago=2))
    for fading, first in ((0.01, "e"), (1.0, "b")):
        publish(log_of(BASKETS, IDS), IDS, recipe=Recipe(top=20, fading=fading))
        assert items(ask(visitor, n=1)[0]) == [first]


def test_reason_names_what_was_done_with_the_product(shop):
    (found,) = ask(who(touch("a", CART)), n=1)
    assert found.picks[0].reason == "because you added A to your basket"


def test_reason_of_an_event_nobody_foresaw(shop):
    (found,) = ask(who(touch("a", "Song Played")), n=1)
    assert found.picks[0].reason == "because of your interest in A"


def test_next_rungs_fill_what_is_missing(shop):
    (found,) = ask(who(touch("d")), n=6)
    assert items(found)[0] == "e"
    assert rungs(found)[0] == "personal"
    assert len(set(items(found))) == len(items(found)) == 6
    assert "trending_in_category" in rungs(found)
    assert found.short is False


def test_somebody_unknown_gets_what_is_popular(shop):
    (found,) = ask(who())
    assert items(found) == ["a", "b", "c"]
    assert rungs(found) == ["trending"] * 3
    assert found.picks[0].reason == "popular this fortnight"


def test_favourite_category_comes_before_the_rest(shop):
    (found,) = ask(who(touch("f")), ladder=["trending_in_category", "trending"], n=4)
    assert items(found)[:2] == ["d", "e"]
    assert found.picks[0].reason == "popular in y this fortnight"
    assert rungs(found)[3] == "trending"


def test_ladder_is_taken_in_its_order(shop):
    (found,) = ask(who(touch("a")), ladder=["best_sellers"], n=2)
    assert items(found) == ["a", "b"]
    assert [pick.reason for pick in found.picks] == ["best seller"] * 2


def test_strategy_enters_the_ladder_at_its_rung(shop):
    (found,) = ask(who(touch("a")), strategy="best_sellers", n=1)
    assert rungs(found) == ["best_sellers"]


def test_similar_gives_the_neighbours_of_one_product(shop):
    (found,) = ask(who(), strategy="similar", item="d", n=1)
    assert (items(found), found.picks[0].reason) == (["e"], "goes with D")
    assert found.picks[0].rung == "similar"


def test_unknown_strategy_is_refused_with_the_known_ones(shop):
    with pytest.raises(InvalidInput, match="'magic' is not known; expected one of personal"):
        ask(strategy="magic")


def test_product_that_is_not_there_has_no_neighbours_to_ask_for(shop):
    with pytest.raises(InvalidInput, match="'z' is not a product of catalog 'default'"):
        ask(who(touch("a")), strategy="similar", item="z")


def test_exclusions_that_are_not_one_set_per_person_are_refused(shop):
    with pytest.raises(InvalidInput, match="2 people have 1 sets of exclusions"):
        ask(who(), who(), exclude_items=[{"a"}])


def test_nothing_is_asked_for(shop):
    with pytest.raises(InvalidInput, match="n is 0"):
        ask(n=0)


def test_out_of_stock_is_gone_at_once(shop):
    change(shop, "b", in_stock=False)
    (found,) = ask(who(touch("a")), n=6)
    assert "b" not in items(found)


def test_deleted_is_gone_at_once(shop):
    change(shop, "b", deleted_at=NOON)
    (found,) = ask(who(touch("a")), n=6)
    assert "b" not in items(found)
    assert len(found.picks) == 5


def test_filter_that_asks_for_what_is_sold_out_gets_it(shop):
    change(shop, "b", in_stock=False)
    sold_out = filters.parse({"column": "in_stock", "op": "=", "value": False})
    (found,) = ask(who(touch("a")), filter=sold_out)
    assert items(found) == ["b"]
    assert found.short is True


SOLD_OUT = {"column": "in_stock", "op": "=", "value": False}
IN_STOCK = {"column": "in_stock", "op": "=", "value": True}
CHEAP = {"column": "price", "op": "<", "value": 12}  # a and b


@pytest.mark.parametrize(
    "rule",
    [
        {"any": [CHEAP, IN_STOCK]},
        {"any": [CHEAP, SOLD_OUT]},
        {"any": [SOLD_OUT, IN_STOCK]},
        {"not": SOLD_OUT},
        {"not": {"not": SOLD_OUT}},
        {"not": {"all": [SOLD_OUT, {"not": CHEAP}]}},
        {"column": "in_stock", "op": "is present"},
        {"any": []},
        {"all": []},
    ],
)
def test_filter_that_merely_mentions_stock_opens_nothing(shop, rule):
    change(shop, "b", in_stock=False)
    (found,) = ask(who(touch("a")), filter=filters.parse(rule), n=6)
    assert "b" not in items(found)


@pytest.mark.parametrize(
    "rule",
    [
        {"column": "in_stock", "op": "!=", "value": True},
        {"all": [CHEAP, {"all": [SOLD_OUT]}]},
        {"any": [{"all": [CHEAP, SOLD_OUT]}, SOLD_OUT]},
    ],
)
def test_sold_out_may_be_asked_for_beside_other_conditions(shop, rule):
    change(shop, "b", in_stock=False)
    (found,) = ask(who(touch("a")), filter=filters.parse(rule), n=6)
    assert items(found) == ["b"]


def test_filter_acts_before_ranking(shop):
    only_y = filters.parse({"column": "category", "op": "=", "value": "y"})
    (found,) = ask(who(touch("a")), filter=only_y)
    assert set(items(found)) == {"d", "e", "f"}


def test_bought_is_not_offered_again_on_any_rung(shop):
    (found,) = ask(who(touch("b", BUY), touch("a")), n=6)
    assert "b" not in items(found)


def test_returned_is_not_offered_again_either(shop):
    (found,) = ask(who(touch("b", "Order Refunded"), touch("b", BUY, hours_ago=9)), n=6)
    assert "b" not in items(found)


def test_bought_longer_ago_than_the_window_may_come_again(shop):
    old = touch("b", BUY, hours_ago=24 * 31)
    (found,) = ask(who(touch("a"), old), exclude_events={BUY: 30}, repeats=True, n=6)
    assert "b" in items(found)


def test_nothing_is_left_out_when_no_event_is_named(shop):
    (found,) = ask(who(touch("b", BUY)), ladder=["best_sellers"], exclude_events={}, n=6)
    assert "b" in items(found)


def test_viewed_is_not_recommended_back_unless_repeats(shop):
    person = who(touch("a"), touch("b"))
    (found,) = ask(person, ladder=["personal"], n=6)
    assert items(found) == ["c"]
    (found,) = ask(person, ladder=["personal"], n=6, repeats=True)
    assert set(items(found)) == {"a", "b", "c"}


def test_purchase_beyond_the_recent_touches_is_found(shop, settings):
    settings.RECENT_ITEMS = 3
    store_history([("ann", "b", BUY, 200.0)])
    recent = [touch("a"), touch("c", hours_ago=2), touch("d", hours_ago=3)]
    (found,) = ask(who(*recent, profile_id=find_profile_id(user_id="ann")), n=6)
    assert "b" not in items(found)


def test_stored_purchases_are_asked_for_though_an_old_one_is_still_in_the_queue(shop, settings):
    settings.RECENT_ITEMS = 2
    store_history([("ann", "b", BUY, 200.0)])
    recent = [touch("a"), touch("c", hours_ago=2), touch("d", BUY, hours_ago=24 * 400)]
    (found,) = ask(who(*recent, profile_id=find_profile_id(user_id="ann")), n=6)
    assert "b" not in items(found)


def test_each_person_has_their_own_exclusions(shop):
    one, other = ask(who(touch("a")), who(touch("a")), exclude_items=[{"b"}, set()], n=1)
    assert (items(one), items(other)) == (["c"], ["b"])


def test_one_variant_of_a_product_is_enough():
    ids = ["a", "m-1", "m-2", "z"]
    make_shop(ids, group_id=["", "m", "m", ""])
    publish(log_of([["a", "m-1"]] * 3 + [["a", "m-2"]] * 2 + [["a", "z"]], ids), ids)
    (found,) = ask(who(touch("a")), ladder=["personal", "best_sellers"], n=4)
    assert items(found) == ["m-1", "z", "a"]


def test_variant_of_what_was_bought_is_bought_too():
    ids = ["a", "m-1", "m-2", "z"]
    make_shop(ids, group_id=["", "m", "m", ""])
    publish(log_of([["a", "m-1", "m-2", "z"]] * 3, ids), ids)
    (found,) = ask(who(touch("m-1", BUY)), n=4)
    assert sorted(items(found)) == ["a", "z"]


def test_equal_scores_are_ordered_by_id():
    ids = ["a", "b", "c", "d"]
    make_shop(ids)
    publish(log_of([["a", "d"], ["a", "c"], ["a", "b"]], ids), ids)
    (found,) = ask(who(touch("a")), strategy="similar_to_last")
    assert items(found) == ["b", "c", "d"]
    assert len({pick.score for pick in found.picks}) == 1


def test_many_people_get_what_each_would_get_alone(shop):
    people = [who(), who(touch("a")), who(touch("d"), touch("a", BUY)), who(touch("f", CART))]
    together = ask(*people, n=5)
    assert together == [ask(person, n=5)[0] for person in people]


def test_product_that_came_after_the_build_can_be_picked_by_hand(shop):
    shop.version += 1
    shop.save()
    make_product(catalog=shop, item_id="new", name="New", version=shop.version)
    snapshot.refresh("default")
    HandPicked.objects.create(catalog="default", item_ids=["gone", "new", "a"])
    (found,) = ask(who(), ladder=["hand_picked"])
    assert items(found) == ["new", "a"]
    assert {pick.reason for pick in found.picks} == {"picked by hand"}
    assert found.short is True


def test_without_any_build_only_hand_picked_is_honest():
    make_shop(IDS)
    HandPicked.objects.create(catalog="default", item_ids=["c"])
    (found,) = ask(who(touch("a")))
    assert (items(found), rungs(found), found.short) == (["c"], ["hand_picked"], True)


def test_empty_catalog_answers_with_nothing():
    make_catalog()
    assert ask(who(touch("a"))) == [serve.Filled([], True)]


def test_patch_copies_no_words_of_the_catalog(shop):
    change(shop, "b", in_stock=False)
    here = shelf.current("default")
    assert here.categories is here.products.column("category").vocabulary


def test_pick_knows_its_row_in_the_snapshot(shop):
    (found,) = ask(who(touch("a")))
    products = snapshot.current("default")
    assert [products.ids[pick.row] for pick in found.picks] == items(found)


def test_removed_from_the_basket_is_no_interest(shop):
    (found,) = ask(who(touch("a", "Product Removed")), ladder=["personal"])
    assert items(found) == []


def test_profile_without_touches_is_not_an_error(shop):
    profile = make_profile(user_id="ann")
    (found,) = ask(who(profile_id=profile.pk))
    assert rungs(found) == ["trending"] * 3


def test_small_shop_fills_a_slot_of_four():
    """50 products, 100 people with two purchases each."""
    ids = [f"p{n:02}" for n in range(50)]
    make_shop(ids, category=[f"c{n % 5}" for n in range(50)])
    baskets = [[ids[n % 50], ids[(n * 7 + 5) % 50]] for n in range(100)]
    publish(log_of(baskets, ids), ids)
    found = ask(*[who(touch(name)) for name in ids], n=4)
    assert all(len(one.picks) == 4 and not one.short for one in found)
    assert all(one.picks[0].rung == "personal" for one in found)
