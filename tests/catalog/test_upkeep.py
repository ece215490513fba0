from datetime import timedelta

import pytest

from catalog import products, snapshot, upkeep
from catalog.models import Product
from tests.factories import NOON, make_catalog

pytestmark = pytest.mark.django_db
OLD = NOON - timedelta(days=91)


def ids():
    return sorted(Product.objects.values_list("item_id", flat=True))


def test_products_deleted_long_ago_are_forgotten_and_no_others():
    make_catalog(products=4)
    products.delete("default", ["p1"], now=OLD)
    products.delete("default", ["p2"], now=NOON - timedelta(days=89))
    upkeep.clean_up(now=NOON)
    assert ids() == ["p2", "p3", "p4"]


def test_many_are_forgotten_in_several_transactions(monkeypatch):
    monkeypatch.setattr(upkeep, "CHUNK", 2)
    make_catalog(products=5)
    make_catalog(name="other", products=1)
    for name, gone in (("default", ["p1", "p2", "p3"]), ("other", ["p1"])):
        products.delete(name, gone, now=OLD)
    upkeep.clean_up(now=NOON)
    upkeep.clean_up(now=NOON)
    assert ids() == ["p4", "p5"]


def test_snapshot_that_slept_through_it_all_still_hears_of_the_deletion():
    make_catalog(products=3)
    assert len(snapshot.refresh("default")) == 3
    products.delete("default", ["p1"], now=OLD)
    upkeep.clean_up(now=NOON)
    products.patch("default", [{"id": "p2", "price": "7.00"}], now=NOON)
    assert list(snapshot.refresh("default").ids) == ["p2", "p3"]


def test_what_was_forgotten_may_come_back_as_a_new_product():
    make_catalog(products=1)
    products.delete("default", ["p1"], now=OLD)
    upkeep.clean_up(now=NOON)
    products.upsert("default", [{"id": "p1", "name": "New"}], now=NOON)
    assert Product.objects.get().first_seen == NOON
