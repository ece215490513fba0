"""Rankings beyond relevance, through the recommender."""

import pytest

from catalog import filters
from engage.lib.errors import InvalidInput
from recommendations import policy, reranking, serve, shelf
from tests.factories import NOON
from tests.recommendations.shops import BUY, CART, change, log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e", "f", "g"]
# Everybody met a; b to g are met with it more and more rarely.
BASKETS = [["a", *IDS[1:end]] for end in range(7, 1, -1)]


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=["x", "x", "x", "x", "y", "y", "z"])
    publish(log_of(BASKETS, IDS), IDS)
    return catalog


def ask(*people, n=3, **wishes):
    options = {name: wishes.pop(name) for name in OPTIONS if name in wishes}
    found = serve.recommend(
        people or [who(touch("a"))], n=n, ranking=policy.parse(wishes), now=NOON, **options
    )
    return [[pick.item for pick in one.picks] for one in found]


OPTIONS = ("ladder", "filter", "exclude_items", "without", "contexts", "shown", "item")
PERSONAL = ("personal",)


def where(column, op, value):
    return {"column": column, "op": op, "value": value}


def test_without_a_wish_relevance_decides(shop):
    assert ask() == [["b", "c", "d"]]


def test_ranking_that_asks_for_nothing_changes_nothing(shop):
    people = [who(), who(touch("a")), who(touch("d"), touch("b", BUY)), who(touch("g", CART))]
    plain = serve.recommend(people, n=7, now=NOON)
    ranked = serve.recommend(people, n=7, ranking=policy.Ranking(), now=NOON)
    assert ranked == plain


def test_variety_brings_other_categories(shop):
    assert ask(variety=0.9) == [["b", "e", "g"]]


def test_cap_leaves_room_for_other_categories(shop):
    assert ask(caps={"category": 1}) == [["b", "e", "g"]]
    assert ask(caps={"category": 2}, n=5) == [["b", "c", "e", "f", "g"]]


def test_cap_holds_over_all_rungs(shop):
    (found,) = ask(who(touch("a")), ladder=["personal", "trending"], caps={"category": 1}, n=7)
    assert found == ["b", "e", "g"]  # a, which only trending may show, is the second of x


def test_cap_on_an_own_column():
    catalog = make_shop(IDS)
    catalog.columns = {"brand": "text"}
    catalog.save()
    for item, brand in zip(IDS, "uuuuvvw", strict=True):
        change(catalog, item, extra={"brand": brand})
    publish(log_of(BASKETS, IDS), IDS)
    assert ask(caps={"brand": 1}) == [["b", "e", "g"]]


def test_cap_on_a_column_the_catalog_lacks_caps_nothing(shop):
    assert ask(caps={"brand": 1}) == [["b", "c", "d"]]


def test_popular_list_is_walked_beyond_what_a_cap_forbids(monkeypatch):
    """Thirty shirts before the first hat: as deep as ten times the cap is not deep enough."""
    ids = [f"p{n:02}" for n in range(40)]
    make_shop(ids, category=["shirt"] * 35 + ["hat"] * 5)
    publish(log_of([ids[:end] for end in range(40, 0, -1)], ids), ids)
    monkeypatch.setattr(reranking, "DEPTH", 12)
    assert ask(who(), ladder=["best_sellers"], caps={"category": 1}) == [["p00", "p35"]]


def test_boost_lifts_what_the_filter_holds_for(shop):
    boosts = [{"filter": where("category", "=", "y"), "factor": 50}]
    assert ask(boosts=boosts) == [["e", "f", "b"]]


def test_factor_below_one_lowers(shop):
    boosts = [{"filter": where("id", "=", "b"), "factor": 0.01}]
    assert ask(boosts=boosts, ladder=PERSONAL, n=6)[0][-1] == "b"


def test_boost_does_not_lift_over_the_rung_before(shop):
    boosts = [{"filter": where("id", "=", "a"), "factor": 100}]
    (found,) = ask(boosts=boosts, n=7)
    assert found.index("a") == 6  # touched, so only a popular list shows it


def test_pin_stands_at_its_place(shop):
    assert ask(pins=[{"place": 2, "item": "g"}]) == [["b", "g", "c"]]


def test_pins_leave_the_rest_its_order_and_ranks(shop):
    pins = [{"place": 1, "item": "f"}, {"place": 3, "item": "c"}]
    (found,) = serve.recommend(
        [who(touch("a"))], n=4, ranking=policy.parse({"pins": pins}), now=NOON
    )
    assert [(pick.rank, pick.item, pick.rung) for pick in found.picks] == [
        (1, "f", "pinned"),
        (2, "b", "personal"),
        (3, "c", "pinned"),
        (4, "d", "personal"),
    ]


def test_pin_beyond_a_short_list_stands_at_its_end(shop):
    only = filters.parse(where("id", "in", ["b", "g"]))
    assert ask(pins=[{"place": 3, "item": "g"}], filter=only) == [["b", "g"]]


def test_pin_beyond_the_length_of_the_list_is_not_shown(shop):
    assert ask(pins=[{"place": 4, "item": "g"}]) == [["b", "c", "d"]]


def test_pin_obeys_what_holds_for_every_product(shop):
    pins = [{"place": 1, "item": "g"}, {"place": 2, "item": "gone"}]
    assert ask(who(touch("g", BUY), touch("a")), pins=pins, ladder=PERSONAL)[0][0] != "g"
    assert ask(pins=pins, filter=filters.parse(where("id", "!=", "g")))[0][0] == "b"
    assert ask(pins=pins, exclude_items=[{"g"}])[0][0] == "b"
    change(shop, "g", in_stock=False)
    assert ask(pins=pins) == [["b", "c", "d"]]


def test_caps_and_variety_know_of_the_pins(shop):
    assert ask(pins=[{"place": 1, "item": "d"}], caps={"category": 1}) == [["d", "e", "g"]]


def test_variants_stay_apart():
    ids = ["a", "m-1", "m-2", "z"]
    make_shop(ids, group_id=["", "m", "m", ""])
    publish(log_of([["a", "m-1"]] * 3 + [["a", "m-2"]] * 2 + [["a", "z"]], ids), ids)
    ladder = ["personal", "best_sellers"]
    assert ask(variety=0.1, ladder=ladder, n=4) == [["m-1", "z", "a"]]
    assert ask(variety=0.1, ladder=["best_sellers"], n=4, without=()) == [["a", "m-1", "z"]]


def test_many_people_get_what_each_would_get_alone(shop, monkeypatch):
    monkeypatch.setattr(reranking, "AT_ONCE", 2)
    people = [
        who(),
        who(touch("a")),
        who(touch("d"), touch("a", BUY)),
        who(touch("f", CART)),
        who(),
    ]
    wishes = {"variety": 0.4, "caps": {"category": 2}, "pins": [{"place": 2, "item": "e"}]}
    assert ask(*people, n=5, **wishes) == [ask(one, n=5, **wishes)[0] for one in people]


def test_reranker_is_kept_for_the_next_call_and_few_are(shop, monkeypatch):
    monkeypatch.setattr(reranking, "KEPT", 1)
    ask(variety=0.5)
    [first] = shelf.current("default").rerankers.values()
    ask(variety=0.5)
    assert list(shelf.current("default").rerankers.values()) == [first]
    ask(variety=0.6)
    assert list(shelf.current("default").rerankers) == [(policy.Ranking(variety=0.6), None)]


def test_showings_that_are_not_one_per_person_are_refused(shop):
    with pytest.raises(InvalidInput, match="1 people have 0 showings"):
        ask(variety=0.5, shown=[])


# --- the cart and the trigger ----------------------------------------------------------------


def test_what_is_in_the_cart_is_left_out(shop):
    person = who(touch("b", CART), touch("a"))
    assert "b" in ask(person, ladder=["best_sellers"], n=7)[0]
    assert "b" not in ask(person, ladder=["best_sellers"], n=7, without=["cart"])[0]


@pytest.mark.parametrize("event", ["Product Removed", BUY])
def test_what_left_the_cart_is_not_in_it(shop, event):
    touches = [touch("b", event, hours_ago=1), touch("b", CART, hours_ago=2)]
    options = {"exclude_events": {}, "ladder": ["best_sellers"], "now": NOON, "n": 7}
    (found,) = serve.recommend([who(*touches)], without=["cart"], **options)
    assert "b" in [pick.item for pick in found.picks]
    (found,) = serve.recommend([who(*reversed(touches))], without=["cart"], **options)
    assert "b" not in [pick.item for pick in found.picks]


def test_what_triggers_the_message_is_left_out(shop):
    options = {"ladder": ["best_sellers"], "n": 7, "without": ["trigger"]}
    assert "a" not in ask(who(touch("a")), **options)[0]
    contexts = [serve.Context(items=["c", "d"])]
    (found,) = ask(who(touch("a")), contexts=contexts, **options)
    assert sorted(found) == ["a", "b", "e", "f", "g"]
