from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from catalog import products, snapshot
from catalog.errors import UnknownCatalog, UnknownItem
from catalog.models import Catalog, Product
from catalog.products import Rejected
from engage.lib.errors import InvalidInput
from tests.factories import make_catalog, make_product

pytestmark = pytest.mark.django_db

HAT = {
    "id": "hat",
    "name": "Hat",
    "category": "clothes",
    "price": "12.50",
    "currency": "EUR",
    "image_url": "https://shop.example/hat.jpg",
    "url": "https://shop.example/hat",
    "in_stock": False,
    "group_id": "g1",
    "brand": "Acme",
    "weight": 1.5,
    "tags": ["warm", "red"],
    "eco": True,
    "made": "2026-11-02T12:00:00Z",
}


def refusals(written):
    return [(one.index, one.id, one.code, one.message) for one in written.rejected]


def test_put_makes_catalog_products_and_columns(now):
    written = products.upsert("shop", [HAT, {"id": 7, "name": "Cap"}], now=now)
    assert (written.accepted, written.rejected, written.version) == (2, [], 1)
    assert products.get("shop", "hat") == HAT
    assert products.get("shop", "7") == {
        "id": "7",
        "name": "Cap",
        "category": "",
        "price": None,
        "currency": "",
        "image_url": "",
        "url": "",
        "in_stock": True,
        "group_id": "",
    }
    catalog = Catalog.objects.get()
    assert catalog.columns == {
        "brand": "text",
        "eco": "boolean",
        "made": "time",
        "tags": "list",
        "weight": "number",
    }
    assert catalog.updated_at == now


def test_what_get_gives_put_takes(now):
    products.upsert("shop", [HAT], now=now)
    products.upsert("shop", [products.get("shop", "hat")], now=now)
    assert products.get("shop", "hat") == HAT


def test_put_replaces_the_whole_product(now):
    products.upsert("shop", [HAT], now=now)
    products.upsert("shop", [{"id": "hat", "name": "Hat"}], now=now)
    found = products.get("shop", "hat")
    assert (found["price"], found["in_stock"], "brand" in found) == (None, True, False)


def test_same_put_twice_leaves_rows_untouched(now):
    products.upsert("shop", [HAT], now=now)
    products.upsert("shop", [HAT], now=now + timedelta(hours=1))
    row = Product.objects.get()
    assert (row.version, row.updated_at, row.first_seen) == (1, now, now)


def test_bad_items_do_not_stop_good_ones(now):
    items = [
        {"id": "a", "name": "A", "price": -1, "url": "ftp://x"},
        {"id": "b", "name": "B"},
        {"id": "b", "name": "B again"},
        {"name": "no id"},
        "no object",
        {"id": "c"},
        {"id": "d", "name": "D", "Price": 3},
        {"id": "e", "name": "E", "in_stock": None},
        {"id": "f\x00", "name": "F"},
        {"id": "g", "name": "\ud800"},
        {"id": "h", "name": "H", "size": {"x": 1}},
        {"id": "i", "name": "I", "price": float("nan")},
        {"id": "j", "name": "J", "price": 10**400},
    ]
    written = products.upsert("shop", items, now=now)
    assert (written.accepted, written.version) == (1, 1)
    assert list(Product.objects.values_list("item_id", "name")) == [("b", "B")]
    assert refusals(written)[:6] == [
        (
            0,
            "a",
            "invalid_item",
            "price: is negative; url: “ftp://x” is not an address that begins with https:// or"
            " http://",
        ),
        (2, "b", "duplicate_id", "the same id stands earlier in this request"),
        (3, "", "invalid_item", "id: is missing"),
        (4, "", "invalid_item", "expected an object with an id"),
        (5, "c", "invalid_item", "name: is missing"),
        (6, "d", "invalid_item", "Price: is written “price” here"),
    ]
    assert [one.index for one in written.rejected] == [0, *range(2, 13)]


def test_nothing_good_makes_no_catalog_and_no_version(now):
    written = products.upsert("shop", [{"id": "a"}], now=now)
    assert (written.accepted, written.version) == (0, 0)
    assert not Catalog.objects.exists()


def test_own_value_of_another_type_is_refused(now):
    products.upsert("shop", [{"id": "a", "name": "A", "size": 38}], now=now)
    written = products.upsert("shop", [{"id": "b", "name": "B", "size": "XL"}], now=now)
    assert refusals(written) == [
        (0, "b", "invalid_item", "size: expected a number, not “XL”"),
    ]


def test_patch_changes_only_what_it_names(now):
    products.upsert("shop", [HAT], now=now)
    change = {"id": "hat", "in_stock": True, "price": 9.9, "weight": None, "size": "M"}
    written = products.patch("shop", [change, {"id": "cap", "price": 1}], now=now)
    assert (written.accepted, written.version) == (1, 2)
    assert written.rejected == [
        Rejected(1, "cap", "unknown_item", "there is no item 'cap'"),
    ]
    expected = HAT | {"in_stock": True, "price": "9.90", "size": "M"}
    del expected["weight"]
    assert products.get("shop", "hat") == expected


@pytest.mark.parametrize("empty", [None, "", "  ", []])
def test_patch_empties_an_own_column(empty, now):
    products.upsert("shop", [HAT], now=now)
    item = {"id": "hat", "tags": empty, "brand": None if empty == [] else empty}
    assert products.patch("shop", [item], now=now).accepted == 1
    assert sorted(Product.objects.get().extra) == ["eco", "made", "weight"]


def test_patch_may_not_take_the_name(now):
    products.upsert("shop", [HAT], now=now)
    written = products.patch("shop", [{"id": "hat", "name": None}], now=now)
    assert refusals(written) == [(0, "hat", "invalid_item", "name: is missing")]
    assert written.version == 1


def test_delete_answers_for_each_id(now):
    catalog = make_catalog(products=3)
    written = products.delete("default", ["p1", "p9", "p1"], now=now)
    assert (written.accepted, written.version) == (2, 2)
    assert refusals(written) == [(1, "p9", "unknown_item", "there is no item 'p9'")]
    assert Product.objects.get(item_id="p1").deleted_at == now
    assert products.delete("default", ["p1"], now=now).version == 2
    assert catalog.products.filter(deleted_at=None).count() == 2


def test_deleted_product_that_returns_is_new(now):
    make_catalog(products=1)
    products.delete("default", ["p1"], now=now)
    later = now + timedelta(days=1)
    products.upsert("default", [{"id": "p1", "name": "Again"}], now=later)
    row = Product.objects.get()
    assert (row.name, row.deleted_at, row.first_seen) == ("Again", None, later)
    assert products.patch("default", [{"id": "p1", "price": "3"}], now=later).accepted == 1
    assert Product.objects.get().price == Decimal("3.00")


def test_pages_join_to_the_whole(now):
    make_catalog(products=7)
    seen, after = [], ""
    while after is not None:
        page = products.list_page("default", after=after, limit=3)
        seen += [item["id"] for item in page.items]
        after = page.next
    assert seen == ["p1", "p2", "p3", "p4", "p5", "p6", "p7"]


def test_unknown_catalog_and_item_are_named(now):
    with pytest.raises(UnknownCatalog):
        products.patch("nope", [{"id": "a"}], now=now)
    make_catalog()
    with pytest.raises(UnknownItem, match="no item 'x\\\\x00'"):
        products.get("default", "x\x00")


@pytest.mark.parametrize("items", [[], [{"id": "a", "name": "A"}] * 1_001])
def test_number_of_items_is_bounded(items, now):
    with pytest.raises(InvalidInput, match="expected 1 to 1,000"):
        products.upsert("shop", items, now=now)


@pytest.mark.parametrize("name", ["", "No Such", "a/b", "x" * 51, "a\x00", "shop\n"])
def test_catalog_names_are_checked(name, now):
    with pytest.raises(InvalidInput, match="catalog's name"):
        products.upsert(name, [HAT], now=now)


def test_columns_are_bounded(now):
    wide = {"id": "a", "name": "A"} | {f"c{n}": n for n in range(201)}
    with pytest.raises(InvalidInput, match="more than 200 columns"):
        products.upsert("shop", [wide], now=now)
    assert not Catalog.objects.exists()


def test_column_without_any_value_makes_room_for_a_new_one(now):
    wide = {"id": "a", "name": "A"} | {f"c{n}": n for n in range(200)}
    products.upsert("shop", [wide], now=now)
    with pytest.raises(InvalidInput, match="more than 200 columns"):
        products.patch("shop", [{"id": "a", "more": 1}], now=now)
    products.patch("shop", [{"id": "a", "c7": None}], now=now)
    products.patch("shop", [{"id": "a", "more": 1}], now=now)
    columns = Catalog.objects.get().columns
    assert (len(columns), "more" in columns, "c7" in columns) == (200, True, False)


def test_a_patch_is_in_the_next_snapshot(now):
    catalog = make_catalog()
    make_product(catalog=catalog, item_id="a", price=Decimal("5.00"))
    assert snapshot.current("default").in_stock.tolist() == [True]
    products.patch("default", [{"id": "a", "in_stock": 0, "price": "4.00"}], now=now)
    found = snapshot.refresh("default")
    assert found.in_stock.tolist() == [False]
    assert found.card(0)["price"] == "4.00"


@pytest.mark.django_db(transaction=True)
def test_failure_in_the_middle_leaves_nothing(now, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("the power went")

    monkeypatch.setattr(products, "_store", broken)
    with pytest.raises(RuntimeError), transaction.atomic():
        products.upsert("shop", [HAT], now=now)
    assert not Catalog.objects.exists()
    assert connection.get_autocommit()
