"""Slots, filled by the real recommender over a small catalog without a model: the lower rungs."""

from decimal import Decimal

import pytest

from campaigns import slots
from catalog.models import Catalog
from engage.lib.clock import to_millis
from engage.profiles.activity import Touch
from recommendations import serve
from recommendations.models import HandPicked
from recommendations.serve import Who
from tests.factories import NOON, make_catalog, make_product, make_slot, make_template
from tests.recommendations.shops import change as change_product

pytestmark = pytest.mark.django_db
NOBODY = Who(None, [])


@pytest.fixture(autouse=True)
def shop():
    """Five products picked by hand, p1 first."""
    make_catalog(products=5)
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3", "p4", "p5"])


def make(**fields):
    return make_slot(template=make_template(), **({"ladder": ["hand_picked"]} | fields))


def ids(filling, name="picks"):
    return [card["id"] for card in filling.cards[name]]


def bought(item, now):
    return Touch(item, "Order Completed", to_millis(now) - 1000, "m1")


def test_a_slot_shows_at_most_its_maximum_best_first(now):
    [filling] = slots.fill([make(maximum=2)], who=[NOBODY], now=now)
    assert ids(filling) == ["p1", "p2"]
    assert filling.items == [
        {"slot": "picks", "item": "p1", "rank": 1, "rung": "hand_picked", "source": "hand_picked"},
        {"slot": "picks", "item": "p2", "rank": 2, "rung": "hand_picked", "source": "hand_picked"},
    ]


def test_a_card_has_what_templates_and_apps_show(now):
    [filling] = slots.fill([make(maximum=1)], who=[NOBODY], now=now)
    card = filling.cards["picks"][0]
    assert {name: card[name] for name in ("id", "name", "price", "currency", "rank", "link")} == {
        "id": "p1",
        "name": "Product p1",
        "price": "1.00",
        "currency": "EUR",
        "rank": 1,
        "link": "https://shop.example/p1",
    }
    assert card["reason"]


def test_no_product_stands_in_two_slots_of_a_message(now):
    first, second = make(maximum=2), make(name="more", maximum=4)
    [filling] = slots.fill([first, second], who=[NOBODY], now=now)
    assert ids(filling) == ["p1", "p2"]
    assert ids(filling, "more") == ["p3", "p4", "p5"]


def test_what_was_just_bought_is_left_out(now):
    [filling] = slots.fill([make(maximum=2)], who=[Who(None, [bought("p1", now)])], now=now)
    assert ids(filling) == ["p2", "p3"]


def test_the_filter_holds(now):
    slot = make(filter={"column": "price", "op": ">=", "value": 4})
    [filling] = slots.fill([slot], who=[NOBODY], now=now)
    assert ids(filling) == ["p4", "p5"]


def test_the_filter_may_refer_to_the_person(now):
    price = {"context": "profile.budget"}
    slot = make(filter={"column": "price", "op": "<=", "value": price})
    contexts = [serve.Context(profile={"budget": 2}), serve.Context()]
    rich, unknown = slots.fill([slot], who=[NOBODY, NOBODY], contexts=contexts, now=now)
    assert (ids(rich), ids(unknown)) == (["p1", "p2"], [])


def test_a_filter_that_refers_to_nothing_is_named():
    slot = make(filter={"column": "price", "op": "<", "value": {"context": "basket.total"}})
    assert [str(problem) for problem in slots.check(slot)] == [
        "slot picks, filter: there is no context “basket.total”: "
        "it begins with trigger, event, profile"
    ]


def test_what_is_out_of_stock_is_not_shown(now):
    make_product(
        catalog=make_catalog(name="other"), item_id="x1", in_stock=False, price=Decimal(1)
    )
    HandPicked.objects.create(catalog="other", item_ids=["x1"])
    [filling] = slots.fill([make(catalog="other")], who=[NOBODY], now=now)
    assert ids(filling) == []


@pytest.mark.parametrize("change", [{"in_stock": False}, {"price": 9}, {"deleted_at": NOON}])
def test_what_changed_between_the_pick_and_the_card_is_not_shown(now, monkeypatch, change):
    pick = serve.recommend

    def pick_and_change(*args, **options):
        found = pick(*args, **options)
        change_product(Catalog.objects.get(), "p2", **change)
        return found

    monkeypatch.setattr(serve, "recommend", pick_and_change)
    slot = make(maximum=3, filter={"column": "price", "op": "<=", "value": 5})
    [filling] = slots.fill([slot], who=[NOBODY], now=now)
    assert ids(filling) == ["p1", "p3"]
    assert [(item["item"], item["rank"]) for item in filling.items] == [("p1", 1), ("p3", 2)]


def test_fewer_than_the_minimum_leaves_the_block_empty(now):
    dear = {"column": "price", "op": ">=", "value": 5}
    [filling] = slots.fill([make(minimum=2, filter=dear)], who=[NOBODY], now=now)
    assert (ids(filling), filling.items, filling.drop) == ([], [], "")


def test_fewer_than_the_minimum_drops_the_message_where_the_slot_says_so(now):
    dear = {"column": "price", "op": ">=", "value": 5}
    slot = make(minimum=2, filter=dear, on_short="drop_message")
    [filling] = slots.fill([slot], who=[NOBODY], now=now)
    assert filling.drop == "slot_short"


def test_a_minimum_of_none_drops_nothing(now):
    never = {"column": "price", "op": ">=", "value": 99}
    slot = make(minimum=0, filter=never, on_short="drop_message")
    [filling] = slots.fill([slot], who=[NOBODY], now=now)
    assert (ids(filling), filling.drop) == ([], "")


def test_everybody_of_a_batch_gets_their_own(now):
    who = [NOBODY, Who(None, [bought("p1", now)]), NOBODY]
    fillings = slots.fill([make(maximum=1)], who=who, now=now)
    assert [ids(filling) for filling in fillings] == [["p1"], ["p2"], ["p1"]]


def test_a_catalog_that_is_gone_makes_the_slot_short(now):
    slot = make(catalog="gone", on_short="drop_message")
    assert slots.fill([slot], who=[NOBODY], now=now)[0].drop == "slot_short"
