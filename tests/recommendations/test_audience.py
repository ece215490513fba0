from datetime import timedelta

import numpy as np
import pytest

from engage.lib.errors import InvalidInput
from engage.profiles import activity, identity
from recommendations import audience, serve
from recommendations.algorithms.model import Recipe
from tests.factories import NOON, make_product
from tests.recommendations.shops import (
    BUY,
    CART,
    VIEW,
    change,
    log_of,
    make_shop,
    publish,
    store_history,
    who,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
IDS = ["a", "b", "c", "d", "e", "f"]
BASKETS = [["a", "b", "c"]] * 3 + [["a", "b"]] * 2 + [["d", "e"]] * 2 + [["f"]]


@pytest.fixture
def shop():
    catalog = make_shop(IDS)
    publish(log_of(BASKETS, IDS), IDS)
    return catalog


def find(item, **options):
    return audience.find(item, **({"now": NOON} | options))


def names(found):
    return [one.name for one in found.top]


def test_those_who_touched_what_speaks_for_it_want_it_most_who_did_last_first(shop):
    store_history(
        [
            ("ann", "a", VIEW, 1),
            ("bob", "a", VIEW, 3),
            ("bob", "d", VIEW, 2),
            ("cleo", "f", VIEW, 1),
        ]
    )
    found = find("b")
    assert names(found) == ["ann", "bob"]
    assert found.top[1].score == pytest.approx(found.top[0].score * 0.6)
    assert [one.because for one in found.top] == ["a", "a"]
    assert (found.profiles, found.bought) == (2, 0)


def random_rows(*, people=25, events=500, seed=3):
    rng = np.random.default_rng(seed)
    happened = rng.choice([VIEW, CART, BUY, "Product Removed", "Product List Viewed"], events)
    days = rng.permutation(events) / events * 500  # all different
    return [
        (f"u{rng.integers(people)}", str(rng.choice([*IDS, "gone"])), str(event), float(day))
        for event, day in zip(happened, days, strict=True)
    ]


@pytest.mark.parametrize("most_touches", [50, 8])
def test_scores_are_those_that_serving_gives_each_person(shop, settings, most_touches):
    settings.RECENT_ITEMS = most_touches
    publish(log_of(BASKETS, IDS), IDS, recipe=Recipe(top=20, history=3, fading=0.8, again=0.0))
    rows = random_rows()
    store_history(rows)
    since = {}
    for user, item, event, days in rows:
        if event == BUY and days <= 365:
            since.setdefault(item, set()).add(user)
    for item in IDS:
        expected = {}
        for user in {row[0] for row in rows} - since.get(item, set()):
            profile_id = identity.find_profile_id(user_id=user)
            person = who(*activity.recent(profile_id), profile_id=profile_id)
            [filled] = serve.recommend(
                [person], n=6, ladder=["personal"], repeats=True, exclude_events={}, now=NOON
            )
            score = next((pick.score for pick in filled.picks if pick.item == item), 0)
            if score:
                expected[user] = score
        found = find(item)
        assert {one.name: one.score for one in found.top} == expected
        assert found.profiles == len(expected)


def test_who_bought_it_within_a_year_is_left_out_and_counted(shop):
    for user, days in (("ann", 364), ("bob", 366)):
        store_history([(user, "b", BUY, days), (user, "a", VIEW, 1)])
    found = find("b")
    assert (names(found), found.bought) == (["bob"], 1)


def test_who_bought_a_variant_is_left_out_too(shop):
    change(shop, "b", group_id="one")
    change(shop, "f", group_id="one")
    store_history([("ann", "f", BUY, 3), ("ann", "a", VIEW, 1), ("bob", "a", VIEW, 1)])
    assert names(find("b")) == ["bob"]


def test_of_equals_the_smaller_profile_comes_first_and_only_so_many_are_named(shop):
    store_history([(f"u{number}", "a", VIEW, 1) for number in range(5)])
    found = find("b", n=2)
    assert [one.profile_id for one in found.top] == sorted(one.profile_id for one in found.top)
    assert (len(found.top), found.profiles) == (2, 5)
    assert find("b", n=0).top == []


def test_sizes_stand_at_each_tenth(shop):
    for number in range(10):
        user, days = f"u{number}", 1
        others = [(user, item, VIEW, days + k) for k, item in enumerate("fde"[: number % 3])]
        store_history([*others, (user, "a", VIEW, 9)])
    found = find("b")
    assert [one.profiles for one in found.thresholds] == [4, 4, 4, 4, 7, 7, 7, 10, 10, 10]
    assert found.thresholds[-1].profiles == found.profiles


def test_erased_people_are_in_no_audience(shop):
    from engage.profiles import erasure

    store_history([("ann", "a", VIEW, 1), ("bob", "a", VIEW, 1)])
    erasure.erase(identity.find_profile_id(user_id="ann"), now=NOON + timedelta(days=1))
    assert names(find("b")) == ["bob"]


def upload(catalog, item, **columns):
    make_product(catalog=catalog, item_id=item, **columns)
    change(catalog, item)


def test_a_newcomer_is_wanted_by_those_who_touched_what_is_described_like_it(shop):
    change(shop, "a", name="Red wool boot")
    publish(log_of(BASKETS, IDS), IDS)
    upload(shop, "new", name="Red wool scarf", category="wear")
    store_history([("ann", "a", VIEW, 1), ("bob", "d", VIEW, 1)])
    found = find("new")
    assert [(one.name, one.because) for one in found.top] == [("ann", "a")]
    assert (found.profiles, found.thresholds[0].profiles) == (1, 1)


def test_a_newcomer_like_nothing_else_has_no_audience_yet(shop):
    store_history([("ann", "a", VIEW, 1)])
    upload(shop, "new", name="Unheard-of", category="")
    found = find("new")
    assert (found.profiles, found.thresholds, found.top) == (0, [], [])
    assert found.build is not None


def test_without_history_or_build_nobody_wants_anything():
    make_shop(IDS)
    assert (find("a").profiles, find("a").build) == (0, None)


@pytest.mark.parametrize(
    ("item", "options", "words"),
    [
        ("zzz", {}, "'zzz' is not a product of catalog 'default'"),
        ("a", {"n": -1}, "n is -1, expected 0 to 1,000"),
        ("a", {"n": 1_001}, "n is 1001"),
    ],
)
def test_bad_input_is_named(shop, item, options, words):
    with pytest.raises(InvalidInput, match=words):
        find(item, **options)
