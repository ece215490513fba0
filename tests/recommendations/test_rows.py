from datetime import timedelta

import pytest

from catalog import filters, snapshot
from catalog.models import Product
from engage.lib.errors import InvalidInput
from engage.profiles import activity
from engage.profiles.identity import find_profile_id
from recommendations import row_ideas, rows, shelf
from recommendations.serve import Pick
from tests.factories import NOON, make_profile
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

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
IDS = [f"{kind}{number}" for kind in "abc" for number in range(6)]
BASKETS = [
    *([[f"a{n}" for n in range(6)]] * 5),
    *([[f"b{n}" for n in range(6)]] * 4),
    *([[f"c{n}" for n in range(6)]] * 3),
    ["a0", "b0"],
]


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=[name[0] for name in IDS])
    Product.objects.update(first_seen=NOON - timedelta(days=400))
    publish(log_of(BASKETS, IDS), IDS)
    return catalog


def ask(person=None, **options):
    return rows.assemble(person or who(), **({"now": NOON, "n": 3} | options))


def kinds(page):
    return [row.kind for row in page]


def row_of(kind, page):
    (found,) = [row for row in page if row.kind == kind]
    return [pick.item for pick in found.picks]


def arrive(catalog, *items, days_ago=1.0):
    for item in items:
        change(catalog, item, first_seen=NOON - timedelta(days=days_ago))
    shelf.forget()


def test_somebody_unknown_gets_what_is_popular_sells_best_and_is_new(shop):
    arrive(shop, "c3", "c4", "c5")
    page = ask()
    assert kinds(page) == ["trending", "best_sellers", "new_arrivals"]
    assert [row.fit for row in page] == [0.0, 0.0, 0.0]
    assert row_of("trending", page) == ["a0", "a1", "a2"]
    assert row_of("best_sellers", page) == ["a3", "a4", "a5"]
    assert row_of("new_arrivals", page) == ["c3", "c4", "c5"]


def test_a_known_person_finds_their_own_rows_first(shop):
    page = ask(who(touch("a0"), touch("b1", hours_ago=24)), n=2)
    assert [(row.title, [pick.item for pick in row.picks]) for row in page] == [
        ("For you", ["a1", "a2"]),
        ("Because you viewed A0", ["a3", "a4"]),
        ("Because you viewed B1", ["b2", "b3"]),
        ("Continue where you left off", ["a0", "b1"]),
        ("Popular this fortnight", ["a5", "b0"]),
        ("Best sellers", ["b4", "b5"]),
    ]


def test_every_row_says_why_in_words_and_as_data(shop):
    page = ask(who(touch("a0", CART)), rows=20, n=2)
    (row,) = [row for row in page if row.kind == "because"]
    assert row.why == "because you added A0 to your basket"
    assert row.evidence == {
        "item": "a0",
        "name": "A0",
        "event": CART,
        "ts": "2026-11-02T11:00:00.000Z",
    }
    assert all(row.why and row.title for row in page)


def test_a_row_about_a_product_is_about_it_to_its_end():
    scored = [("similar", 10.0), ("similar", 4.0), ("similar", 3.9), ("content", 1.0),
              ("content", 0.4), ("content", 0.3)]  # fmt: skip
    picks = [Pick("x", 0, score, 1, "similar", source, "") for source, score in scored]
    assert [pick.score for pick in row_ideas.close(picks)] == [10.0, 4.0, 1.0, 0.4]
    assert row_ideas.close([]) == []


def test_no_product_stands_twice_on_the_page(shop):
    page = ask(who(touch("a0"), touch("b0"), touch("c0")), rows=20, n=4)
    items = [pick.item for row in page for pick in row.picks]
    assert len(items) == len(set(items)) > 12


def test_nor_do_two_variants_of_one(shop):
    for item in ("a1", "a2", "a3", "b0"):
        change(shop, item, group_id="one")
    page = ask(who(touch("a0")), rows=20, n=3)
    items = {pick.item for row in page for pick in row.picks}
    assert len(items & {"a1", "a2", "a3", "b0"}) == 1


def test_the_order_is_that_of_taste_and_freshness(shop):
    page = ask(who(touch("a0", hours_ago=0), touch("b1", hours_ago=7 * 24)), rows=20, n=3)
    fits = [row.fit for row in page]
    assert fits == sorted(fits, reverse=True)
    (for_you,) = [row for row in page if row.kind == "for_you"]
    assert for_you.fit == pytest.approx(2.0)  # the best of their taste, touched just now


def test_what_was_viewed_long_ago_gives_its_row_a_lower_place(shop):
    fresh, stale = (touch("b1", hours_ago=1), touch("b1", hours_ago=24 * 28))
    fits = [
        {row.kind: row.fit for row in ask(who(one), rows=20)}["best_sellers_in_category"]
        for one in (fresh, stale)
    ]
    assert fits[0] - fits[1] == pytest.approx(0.5 ** (1 / 24 / 7) - 0.5**4)


def test_products_that_are_gone_bought_or_filtered_out_stand_in_no_row(shop):
    change(shop, "a1", in_stock=False)
    rule = filters.parse(
        {"column": "price", "op": "!=", "value": 12}, types=snapshot.current("default").types
    )
    page = ask(who(touch("a0"), touch("a3", BUY)), rows=20, n=6, filter=rule)
    items = {pick.item for row in page for pick in row.picks}
    assert not items & {"a1", "a2", "a3"}
    assert "a4" in items


def test_a_filter_may_refer_to_what_was_touched_last(shop):
    same = {"column": "category", "op": "=", "value": {"context": "trigger.category"}}
    rule = filters.parse(same, types=snapshot.current("default").types)
    page = ask(who(touch("a0"), touch("b0")), filter=rule)
    assert {pick.item[0] for row in page for pick in row.picks} == {"a"}
    assert all(row.filled.filter is not None for row in page)


def test_rows_with_too_few_products_are_left_out(shop):
    assert "continue" not in kinds(ask(who(touch("a0"), touch("b0")), rows=20, n=3))
    assert "continue" in kinds(ask(who(touch("a0"), touch("b0")), rows=20, n=2))


def test_what_was_taken_out_of_the_basket_is_not_continued(shop):
    touches = [touch(item, CART, hours_ago=5) for item in ("a0", "a1", "a2", "a3")]
    page = ask(who(touch("a1", "Product Removed"), *touches), rows=20)
    assert row_of("continue", page) == ["a0", "a2", "a3"]
    (row,) = [row for row in page if row.kind == "continue"]
    assert row.picks[0].reason == "it is in your basket"


def test_what_was_touched_before_a_month_is_not_continued(shop):
    touches = [touch(item, hours_ago=24 * 31) for item in ("a0", "a1", "a2")]
    assert "continue" not in kinds(ask(who(*touches), rows=20))


def buy(*purchases, profile_user="ann"):
    store_history([(profile_user, item, BUY, days) for item, days in purchases])
    profile_id = find_profile_id(user_id=profile_user)
    return who(*activity.recent(profile_id), profile_id=profile_id)


def test_what_is_bought_in_a_rhythm_is_offered_when_it_is_due(shop):
    ann = buy(
        *[(item, days) for item in ("a0", "a1", "a2") for days in (30, 60, 90)],
        ("b0", 30),  # once
        *[("b1", days) for days in (1, 31, 61)],  # not yet
    )
    page = ask(ann, rows=20)
    assert row_of("buy_again", page) == ["a0", "a1", "a2"]
    (row,) = [row for row in page if row.kind == "buy_again"]
    assert row.evidence["items"][0] == {
        "id": "a0",
        "every_days": 30.0,
        "last": "2026-10-03T12:00:00.000Z",
    }
    assert row.picks[0].reason == "you buy it every 30 days"
    others = {pick.item for other in page if other is not row for pick in other.picks}
    assert not others & {"a0", "a1", "a2", "b0", "b1"}


def test_bought_again_a_moment_ago_is_not_due(shop):
    ann = buy(*[(item, days) for item in ("a0", "a1", "a2", "a3") for days in (30, 60)])
    touches = [touch("a2", BUY, hours_ago=0), *ann.touches]
    page = ask(ann._replace(touches=touches), rows=20)
    assert row_of("buy_again", page) == ["a0", "a1", "a3"]


def test_sent_back_is_not_offered_again(shop):
    ann = buy(*[(item, days) for item in ("a0", "a1", "a2", "a3") for days in (30, 60)])
    store_history([("ann", "a1", "Order Refunded", 20)])
    assert row_of("buy_again", ask(ann, rows=20)) == ["a0", "a2", "a3"]


def test_new_arrivals_follow_the_column_of_the_shop(shop):
    shop.columns = {"release_date": "time"}
    shop.save()
    for item, date in (("c1", "2026-10-20"), ("c2", "2026-11-01"), ("c3", "2026-10-30"),
                       ("c4", "2026-12-01"), ("c5", "2026-01-01")):  # fmt: skip
        change(shop, item, extra={"release_date": f"{date}T00:00:00Z"})
    snapshot.forget()
    shelf.forget()
    assert row_of("new_arrivals", ask()) == ["c2", "c3", "c1"]  # neither to come nor long ago


def test_the_first_upload_is_no_arrival(shop):
    assert "new_arrivals" not in kinds(ask(rows=20))


def test_of_arrivals_at_one_moment_the_smaller_id_comes_first(shop):
    arrive(shop, "c5", "c4", "c3")
    assert row_of("new_arrivals", ask()) == ["c3", "c4", "c5"]


def test_without_a_build_there_are_arrivals_only():
    catalog = make_shop(IDS)
    arrive(catalog, *IDS, days_ago=10)
    arrive(catalog, "a0", "a1", "a2")
    assert kinds(ask(who(touch("b0")))) == ["new_arrivals"]


def test_a_site_that_sells_nothing_has_favourites(shop, monkeypatch):
    here = shelf.current("default")
    monkeypatch.setitem(here.model.facts, "has_sales", False)
    page = ask(who(touch("a0")), rows=20, n=1)
    titles = {row.kind: row.title for row in page}
    assert (titles["best_sellers_in_category"], titles["best_sellers"]) == (
        "Popular in a",
        "Favourites",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": 0}, "rows is 0, expected 1 to 20"),
        ({"rows": 21}, "rows is 21"),
        ({"n": 0}, "n is 0, expected 1 to 50"),
        ({"n": 51}, "n is 51"),
    ],
)
def test_sizes_have_bounds(shop, options, words):
    with pytest.raises(InvalidInput, match=words):
        ask(**options)


def test_same_person_same_page(shop):
    make_profile(user_id="ann")
    person = who(touch("a0"), touch("b0", hours_ago=30), touch("c1", CART, hours_ago=80))
    assert ask(person, rows=20) == ask(person, rows=20)
