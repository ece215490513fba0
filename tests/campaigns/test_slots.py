"""Slots, filled by the real recommender over a small catalog without a model: the lower rungs."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from campaigns import slot_checks, slots
from campaigns.models import Slot
from catalog.models import Catalog
from engage.lib.clock import to_millis
from engage.profiles.activity import Touch
from recommendations import serve
from recommendations.features import LOGGED
from recommendations.models import HandPicked
from recommendations.serve import Who
from tests.factories import (
    NOON,
    make_catalog,
    make_message,
    make_product,
    make_profile,
    make_slot,
    make_template,
)
from tests.recommendations.shops import BUY, VIEW, make_shop, publish, random_log, touch
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


def record(item, rank, *, price):
    source = {"rung": "hand_picked", "source": "hand_picked", "p": 1}
    return {"slot": "picks", "item": item, "rank": rank, **source, "price": price}


def bought(item, now):
    return Touch(item, "Order Completed", to_millis(now) - 1000, "m1")


def test_a_slot_shows_at_most_its_maximum_best_first(now):
    [filling] = slots.fill([make(maximum=2)], who=[NOBODY], now=now)
    assert ids(filling) == ["p1", "p2"]
    known = [one.pop("f") for one in filling.items]
    assert filling.items == [
        record("p1", 1, price="1.00"),
        record("p2", 2, price="2.00"),
    ]
    assert [dict(zip(LOGGED, one, strict=True))["price"] for one in known] == [693, 1_099]


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
    assert [str(problem) for problem in slot_checks.check(slot)] == [
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
    assert filling.short == [{"slot": "picks", "short": "drop_block", "found": 1, "needed": 2}]


def test_fewer_than_the_minimum_drops_the_message_where_the_slot_says_so(now):
    dear = {"column": "price", "op": ">=", "value": 5}
    slot = make(minimum=2, filter=dear, on_short="drop_message")
    [filling] = slots.fill([slot], who=[NOBODY], now=now)
    assert filling.drop == "slot_short"
    assert filling.short == [{"slot": "picks", "short": "drop_message", "found": 1, "needed": 2}]


def test_a_minimum_of_none_drops_nothing(now):
    never = {"column": "price", "op": ">=", "value": 99}
    slot = make(minimum=0, filter=never, on_short="drop_message")
    [filling] = slots.fill([slot], who=[NOBODY], now=now)
    assert (ids(filling), filling.drop) == ([], "")


def test_a_slot_that_found_enough_has_nothing_to_explain(now):
    [filling] = slots.fill([make(minimum=2, maximum=9)], who=[NOBODY], now=now)
    assert (len(ids(filling)), filling.short) == (5, [])


def test_the_ranking_of_the_slot_is_asked_for(now):
    slot = make(maximum=3, caps={"category": 2}, pins=[{"place": 1, "item": "p4"}])
    [filling] = slots.fill([slot], who=[NOBODY], now=now)
    assert ids(filling) == ["p4", "p1"]
    assert [item["rung"] for item in filling.items] == ["pinned", "hand_picked"]


@pytest.mark.parametrize(("without", "first"), [(True, "p2"), (False, "p1")])
def test_what_is_in_the_cart_is_left_out_where_the_slot_says_so(now, without, first):
    added = Touch("p1", "Product Added", to_millis(now) - 2000, "m1")
    viewed = Touch("p5", "Product Viewed", to_millis(now) - 1000, "m2")
    slot = make(maximum=1, without_cart=without)
    [filling] = slots.fill([slot], who=[Who(None, [viewed, added])], now=now)
    assert ids(filling) == [first]


@pytest.mark.parametrize(("without", "first"), [(True, "p2"), (False, "p1")])
def test_what_the_message_is_about_is_left_out_where_the_slot_says_so(now, without, first):
    slot = make(maximum=1, without_trigger=without)
    contexts = [serve.Context(items=["p1"])]
    [filling] = slots.fill([slot], who=[NOBODY], contexts=contexts, now=now)
    assert ids(filling) == [first]


def test_what_was_shown_too_often_on_any_channel_gives_way(now):
    person = make_profile()
    slot = make(maximum=2, block_after=3)
    for day, channel in enumerate(["email", "push", "in_app"], start=1):
        [filling] = slots.fill([slot], who=[Who(person.pk, [])], now=now)
        assert ids(filling) == ["p1", "p2"]
        at = now - timedelta(days=day)
        make_message(
            profile=person, now=at, channel=channel, run_id=day, state="accepted",
            finished_at=at, items=filling.items[:1],
        )  # fmt: skip
    [filling] = slots.fill([slot], who=[Who(person.pk, [])], now=now)
    assert ids(filling) == ["p2", "p3"]
    change_product(Catalog.objects.get(), "p1", price=Decimal("0.99"))
    [filling] = slots.fill([slot], who=[Who(person.pk, [])], now=now)
    assert ids(filling) == ["p1", "p2"]


def test_showings_are_read_only_where_a_slot_asks(now, django_assert_num_queries):
    person = make_profile()
    plain, tired = make(), make(name="more", damp_after=3)
    slots.fill([plain], who=[Who(person.pk, [])], now=now)  # the catalog is read
    with django_assert_num_queries(0):
        slots.fill([plain], who=[Who(person.pk, [])], now=now)
    with django_assert_num_queries(2):
        slots.fill([plain, tired, tired], who=[Who(person.pk, []), NOBODY], now=now)


def test_a_wish_that_cannot_be_meant_is_named():
    slot = make(variety=101)
    assert [str(problem) for problem in slot_checks.check(slot)] == [
        "slot picks, variety: expected a whole number from 0 to 100, in percent"
    ]
    slot = make(name="more", caps={"category": 0}, damp_after=4, block_after=2)
    assert [problem.path for problem in slot_checks.check(slot)] == [
        "slot more, caps.category",
        "slot more, block_after",
    ]
    slot = make(name="pins", pins=[{"place": 5, "item": "p1"}])
    assert [str(problem) for problem in slot_checks.check(slot)] == [
        "slot pins, pins: place 5 is beyond the maximum of 4"
    ]


def test_everybody_of_a_batch_gets_their_own(now):
    who = [NOBODY, Who(None, [bought("p1", now)]), NOBODY]
    fillings = slots.fill([make(maximum=1)], who=who, now=now)
    assert [ids(filling) for filling in fillings] == [["p1"], ["p2"], ["p1"]]


def test_a_catalog_that_is_gone_makes_the_slot_short(now):
    slot = make(catalog="gone", on_short="drop_message")
    assert slots.fill([slot], who=[NOBODY], now=now)[0].drop == "slot_short"


def test_a_slot_that_explores_tells_the_ledger_how_likely_each_open_place_was(now):
    slot = make(maximum=4, explore=50)
    people = [Who(number, []) for number in range(1, 201)]
    filled = slots.fill([slot], who=people, now=now)
    for filling in filled:
        *sure, drawn = filling.items
        assert [one["item"] for one in sure] == ["p1", "p2", "p3"]
        assert [one["p"] for one in sure] == [1, 1, 1]
        assert not any("arms" in one for one in sure)
        assert 0 < drawn["p"] <= 1
        assert drawn["arm"] in drawn["arms"]
        assert drawn["rung"] == ("hand_picked" if drawn["item"] == "p4" else "explored")
    assert {filling.items[-1]["item"] for filling in filled} == {"p4", "p5"}  # cold, all of them


def test_preview_and_sending_of_a_day_draw_the_same(now):
    slot = make(maximum=4, explore=50)
    people = [Who(number, []) for number in range(1, 101)]
    previewed = [slots.fill([slot], who=[one], now=now)[0] for one in people]
    assert previewed == slots.fill([slot], who=people, now=now + timedelta(hours=3))


def test_what_is_drawn_stands_in_no_other_slot_of_the_message(now):
    first = make(name="one", maximum=2, explore=50)
    second = make(name="two", maximum=2, explore=50)
    for filling in slots.fill([first, second], who=[Who(n, []) for n in range(1, 101)], now=now):
        items = [one["item"] for one in filling.items]
        assert len(items) == len(set(items)) == 4


@pytest.mark.parametrize("explore", [-1, 51, 2.5])
def test_a_share_to_explore_has_bounds(explore):
    slot = make()
    slot.explore = explore
    [problem] = slot_checks.check(slot)
    assert problem.path == "slot picks, explore"
    assert "from 0 to 50" in problem.message


WISHES = (
    {"ladder": ["personal", "best_sellers"], "explore": 50, "variety": 40},
    {"ladder": [], "pins": [{"place": 2, "item": "i03"}], "caps": {"category": 1}},
    {"ladder": ["trending"], "explore": 50, "filter": {"context": "trigger.category"}},
    {"ladder": [], "filter": {"context": "trigger.price", "times": 1.2}, "repeats": True},
)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_slots_wish_for_no_product_and_no_two_variants_stand_twice(now, seed):
    """Variants, sold out products, purchases, filters, chance and slots that come out short."""
    Catalog.objects.all().delete()
    draw = random.Random(seed)
    ids = [f"i{number:02}" for number in range(30)]
    group = {item: f"g{place // 3}" if place < 18 else item for place, item in enumerate(ids)}
    stock = {item for item in ids if draw.random() < 0.85}
    make_shop(
        ids,
        group_id=[group[item] for item in ids],
        category=[draw.choice("xyz") for _ in ids],
        in_stock=[item in stock for item in ids],
    )
    publish(random_log(items=30, seed=seed), ids)
    template = make_template()
    wished = []
    for number, wish in enumerate(WISHES):
        rule = wish.get("filter")
        column = rule and rule["context"].partition(".")[2]
        op = "<=" if column == "price" else "="
        fields = wish | {"filter": {"column": column, "op": op, "value": rule} if rule else {}}
        short = Slot.Short.DROP_MESSAGE if number == seed else Slot.Short.DROP_BLOCK
        wished.append(
            make_slot(
                template=template,
                name=f"s{number}",
                minimum=3,
                maximum=4,
                on_short=short,
                **fields,
            )
        )
    people = [
        Who(
            make_profile().pk,
            [
                touch(draw.choice(ids), draw.choice([VIEW, BUY]), now=now)
                for _ in range(number % 9)
            ],
        )
        for number in range(20)
    ]
    came_short = 0
    for filling in slots.fill(wished, who=people, now=now):
        shown = [record["item"] for record in filling.items]
        assert len({group[item] for item in shown}) == len(shown)
        assert stock.issuperset(shown)
        short = {record["slot"]: record["found"] for record in filling.short}
        assert all(found < 3 for found in short.values())
        for name, cards in filling.cards.items():
            assert len(cards) in ({0} if name in short else {3, 4})
        assert bool(filling.drop) == (f"s{seed}" in short)
        came_short += len(short)
    assert 0 < came_short < 60


def test_what_follows_from_a_persons_past_is_worth_something_what_is_popular_is_not(now):
    Catalog.objects.all().delete()
    ids = [f"i{number:02}" for number in range(12)]
    make_shop(ids)
    publish(random_log(items=12, seed=3), ids)
    slot = make(ladder=["personal", "best_sellers"], maximum=3)
    known = Who(make_profile().pk, [touch("i01", VIEW, now=now)])
    personal, popular = slots.fill([slot], who=[known, NOBODY], now=now)
    assert {one["rung"] for one in personal.items} >= {"personal"}
    assert {one["rung"] for one in popular.items} == {"best_sellers"}
    assert (personal.worth > 0, popular.worth) == (True, 0)
