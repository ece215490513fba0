import pytest

from engage.profiles import erasure, identity
from recommendations import interactions
from tests.factories import NOON
from tests.recommendations.shops import BUY, CART, VIEW, make_shop, store_history

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c"]


def pairs(found):
    log = found.log
    return [
        (int(u), found.item_ids[i], int(w))
        for u, i, w in zip(log.profile, log.item, log.weight, strict=True)
    ]


def test_events_become_weights_in_the_order_of_time():
    make_shop(IDS)
    store_history([("ann", "a", BUY, 1), ("ann", "b", VIEW, 3), ("ann", "c", CART, 2)])
    assert pairs(interactions.read("default")) == [(0, "b", 1), (0, "c", 3), (0, "a", 5)]


def test_taking_back_says_nothing():
    make_shop(IDS)
    store_history([("ann", "a", "Product Removed", 1), ("ann", "b", "Order Refunded", 1)])
    assert pairs(interactions.read("default")) == []


def test_event_nobody_foresaw_counts_as_a_view():
    make_shop(IDS)
    store_history([("ann", "a", "Song Played", 1)])
    assert pairs(interactions.read("default")) == [(0, "a", 1)]


def test_only_products_of_the_catalog_count():
    make_shop(IDS)
    store_history([("ann", "elsewhere", VIEW, 1), ("bob", "b", VIEW, 1)])
    found = interactions.read("default")
    assert pairs(found) == [(0, "b", 1)]
    assert found.facts()["products"] == 3
    assert found.facts()["products_met"] == 1


def test_erased_person_is_not_learned_from(settings, redis_keys):
    settings.ERASERS = []
    make_shop(IDS)
    store_history([("ann", "a", VIEW, 1), ("bob", "b", VIEW, 1)])
    erasure.erase(identity.find_profile_id(user_id="ann"), now=NOON)
    assert pairs(interactions.read("default")) == [(0, "b", 1)]


def test_no_history_is_an_empty_log():
    make_shop(IDS)
    assert interactions.read("default").facts()["profiles_with_two"] == 0
    found = interactions.read("default")
    assert len(found.log) == 0
    assert found.facts()["first_ms"] is None


def test_people_with_two_products_are_counted_and_repeats_are_no_second():
    make_shop(IDS)
    rows = [("ann", "a", 3), ("ann", "b", 2), ("bob", "c", 3), ("bob", "c", 2), ("eve", "b", 1)]
    store_history([(user, item, VIEW, days) for user, item, days in rows])
    assert interactions.read("default").facts()["profiles_with_two"] == 1
