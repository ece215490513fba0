import json
import os
import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from catalog import builders, snapshot
from catalog.arrays import Change
from catalog.errors import UnknownCatalog
from catalog.models import Catalog, Product
from catalog.texts import PackedColumn
from tests.factories import make_catalog, make_product

pytestmark = pytest.mark.django_db


def change(catalog, item_id, *, now=None, **fields):
    """Write as the doors do: the catalog's version first, the row with that version after it."""
    catalog.version += 1
    Catalog.objects.filter(pk=catalog.pk).update(version=catalog.version, columns=catalog.columns)
    defaults = {"name": item_id, "version": catalog.version}
    Product.objects.update_or_create(catalog=catalog, item_id=item_id, defaults=defaults | fields)


def rows_of(found):
    names = [name for name in found.types if name != "id"]
    return {
        item_id: {name: found.column(name).value(row) for name in names}
        for row, item_id in enumerate(found.ids)
    }


def test_products_stand_in_code_point_order_with_their_rows():
    catalog = make_catalog()
    for item_id in ("b", "Z", "a-1", "ä", "a"):
        make_product(catalog=catalog, item_id=item_id)
    found = snapshot.current("default")
    assert found.ids == ["Z", "a", "a-1", "b", "ä"]
    assert found.index["a-1"] == 2


def test_card_has_the_price_as_exact_text():
    catalog = make_catalog()
    make_product(catalog=catalog, item_id="1", name="Größe “X”", price=Decimal("999999999999.99"))
    make_product(catalog=catalog, item_id="2", price=None, currency="", url="", image_url="")
    found = snapshot.current("default")
    assert found.card(0) == {
        "id": "1",
        "name": "Größe “X”",
        "price": "999999999999.99",
        "currency": "EUR",
        "image_url": "https://shop.example/1.jpg",
        "url": "https://shop.example/1",
    }
    assert found.card(1)["price"] is None
    assert found.card(1)["url"] == ""


def test_unknown_catalog_is_named():
    with pytest.raises(UnknownCatalog, match="no catalog named 'nope'"):
        snapshot.current("nope")


def test_names_of_no_catalog_are_not_remembered():
    for number in range(3):
        with pytest.raises(UnknownCatalog):
            snapshot.current(f"made-up-{number}")
    assert not snapshot._slots


def test_empty_catalog_has_columns_without_rows():
    make_catalog()
    found = snapshot.current("default")
    assert (len(found), found.in_stock.tolist()) == (0, [])
    assert found.column("category").missing.tolist() == []


def test_change_of_one_product_is_merged_and_the_old_snapshot_stays():
    catalog = make_catalog(products=3)
    before = snapshot.current("default")
    change(catalog, "p2", in_stock=False, price=Decimal("7.50"), category="hats")
    after = snapshot.refresh("default")
    assert after.version == 2
    assert after.ids is before.ids
    assert before.in_stock.tolist() == [True, True, True]
    assert after.in_stock.tolist() == [True, False, True]
    assert after.column("price").value(1) == 7.5
    assert [after.column("category").value(row) for row in range(3)] == [
        "things",
        "hats",
        "things",
    ]


def test_columns_without_a_change_are_kept():
    catalog = make_catalog(products=3)
    before = snapshot.current("default")
    change(catalog, "p2", price=Decimal(2), in_stock=False)
    after = snapshot.refresh("default")
    kept = {
        name for name in before.types if name != "id" and after.column(name) is before.column(name)
    }
    assert kept == {"category", "currency", "group_id", "image_url", "price", "url"}


def test_new_and_deleted_products_move_the_rows():
    catalog = make_catalog(products=3)
    snapshot.current("default")
    change(catalog, "p0", name="first")
    change(catalog, "p2", deleted_at=timezone.now())
    change(catalog, "p9", name="last")
    found = snapshot.refresh("default")
    assert found.ids == ["p0", "p1", "p3", "p9"]
    assert found.index == {"p0": 0, "p1": 1, "p3": 2, "p9": 3}
    assert [found.card(row)["name"] for row in range(4)] == [
        "first",
        "Product p1",
        "Product p3",
        "last",
    ]


def test_within_a_second_nobody_asks_the_database(django_assert_num_queries):
    make_catalog(products=1)
    snapshot.current("default")
    with django_assert_num_queries(0):
        snapshot.current("default")


def test_after_a_second_one_small_question_is_asked(monkeypatch, django_assert_num_queries):
    make_catalog(products=1)
    snapshot.current("default")
    monkeypatch.setattr(snapshot, "CHECK_SECONDS", 0.0)
    with django_assert_num_queries(1):
        snapshot.current("default")


def test_catalog_made_anew_under_the_same_name_is_read_anew():
    former = make_catalog(products=2)
    assert len(snapshot.current("default")) == 2
    former.delete()
    make_catalog(products=3)
    assert len(snapshot.refresh("default")) == 3


def test_own_columns_are_read_at_first_use_with_their_types():
    catalog = make_catalog()
    catalog.columns = {
        "brand": "text",
        "weight": "number",
        "tags": "list",
        "eco": "boolean",
        "made": "time",
    }
    catalog.save()
    made = "2026-11-02T12:00:00Z"
    full = {"brand": "Acme", "weight": 1.5, "tags": ["x", "y"], "eco": False, "made": made}
    make_product(catalog=catalog, item_id="a", extra=full)
    make_product(catalog=catalog, item_id="b", extra={})
    make_product(catalog=catalog, item_id="c", extra={"brand": 7, "weight": "heavy", "tags": "x"})
    found = snapshot.current("default")
    assert [found.column("brand").value(row) for row in range(3)] == ["Acme", None, "7"]
    assert [found.column("weight").value(row) for row in range(3)] == [1.5, None, None]
    assert [found.column("tags").value(row) for row in range(3)] == [["x", "y"], None, None]
    assert found.column("eco").missing.tolist() == [False, True, True]
    assert found.column("made").value(0) == made
    with pytest.raises(KeyError):
        found.column("size")


def test_loaded_own_columns_follow_changes():
    catalog = make_catalog()
    catalog.columns = {"weight": "number"}
    catalog.save()
    make_product(catalog=catalog, item_id="a", extra={"weight": 1})
    assert snapshot.current("default").column("weight").value(0) == 1
    change(catalog, "a", extra={"weight": 2})
    change(catalog, "b", extra={"weight": 3})
    found = snapshot.refresh("default")
    assert found.column("weight").values.tolist() == [2, 3]


def test_own_column_may_be_read_first_while_a_change_is_merged(monkeypatch):
    catalog = make_catalog()
    catalog.columns = {"brand": "text"}
    make_product(catalog=catalog, item_id="a", extra={"brand": "Acme"})
    catalog.save()
    known = snapshot.current("default")
    merge = PackedColumn.changed

    def read_meanwhile(column, change, values):
        known.column("brand")  # as another thread does
        return merge(column, change, values)

    monkeypatch.setattr(PackedColumn, "changed", read_meanwhile)
    change(catalog, "a", name="Hat")
    assert snapshot.refresh("default").column("name").value(0) == "Hat"


def test_own_column_of_a_new_type_is_read_anew():
    catalog = make_catalog()
    catalog.columns = {"size": "number"}
    catalog.save()
    make_product(catalog=catalog, item_id="a", extra={"size": 38})
    make_product(catalog=catalog, item_id="b", extra={"size": 40})
    snapshot.current("default").column("size")
    catalog.columns = {"size": "text"}
    change(catalog, "a", extra={"size": "XL"})
    found = snapshot.refresh("default")
    assert [found.column("size").value(row) for row in range(2)] == ["XL", "40"]


def test_random_changes_merge_to_what_a_fresh_load_reads(monkeypatch):
    """Every kind of column, small vocabularies packed too."""
    monkeypatch.setattr(builders, "MOST_WORDS", 3)
    monkeypatch.setattr(snapshot, "MERGE_SHARE", 10.0)
    rng = np.random.default_rng(5)
    catalog = make_catalog()
    catalog.columns = {"brand": "text", "tags": "list", "weight": "number"}
    catalog.save()
    snapshot.current("default").column("tags")
    for _ in range(25):
        for _ in range(int(rng.integers(1, 6))):
            item_id = f"i{rng.integers(30)}"
            change(
                catalog,
                item_id,
                name=f"name {rng.integers(5)}",
                category=str(rng.choice(["", "a", "b"])),
                price=None if rng.random() < 0.3 else Decimal(int(rng.integers(100))),
                in_stock=bool(rng.random() < 0.5),
                extra={
                    "brand": f"brand {rng.integers(8)}",
                    "tags": [f"t{n}" for n in range(rng.integers(3))],
                },
                deleted_at=timezone.now() if rng.random() < 0.3 else None,
            )
        merged = snapshot.refresh("default")
        merged.column("brand"), merged.column("weight")
        expected = snapshot._load(Catalog.objects.get())
        assert merged.ids == expected.ids
        assert merged.index == expected.index
        assert rows_of(merged) == rows_of(expected)


@pytest.mark.parametrize(("kind", "wrap"), [("coded", str), ("list", lambda word: [word, "all"])])
def test_words_that_no_row_has_any_more_are_forgotten(kind, wrap):
    built = builders.builder(kind)
    built.extend([wrap("first"), None, wrap("last")])
    column = built.finish()
    for number in range(3_000):
        column = column.changed(Change(None, np.array([2])), [wrap(f"word {number}")])
    assert len(column.vocabulary) < 1_100
    assert [column.value(row) for row in range(3)] == [wrap("first"), None, wrap("word 2999")]
    wanted = "word 2999"
    assert column.matches("contains", wanted).tolist() == [False, False, True]


def test_threads_get_a_snapshot_while_one_of_them_refreshes(monkeypatch):
    make_catalog(products=1)
    former = snapshot.current("default")
    monkeypatch.setattr(snapshot, "CHECK_SECONDS", 0.0)
    slot = snapshot._slot("default")
    with slot.lock:
        seen = []
        thread = threading.Thread(target=lambda: seen.append(snapshot.current("default")))
        thread.start()
        thread.join(5)
    assert seen == [former]


def test_ages_count_live_products(now):
    catalog = make_catalog(products=3)
    Product.objects.filter(item_id="p1").update(deleted_at=now)
    Catalog.objects.filter(pk=catalog.pk).update(updated_at=now - timedelta(minutes=5))
    assert snapshot.ages(now) == {"default": {"age_seconds": 300.0, "products": 2}}


PLACE = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
OTHER_PROCESS = """
import json, sys
import django
from django.conf import settings
settings.DATABASES["default"].update(json.loads(sys.argv[1]))
django.setup()
from catalog import snapshot
snapshot.CHECK_SECONDS = 0.0
for line in sys.stdin:
    found = snapshot.current("default")
    print(json.dumps([found.version, found.ids, found.in_stock.tolist()]), flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_another_process_sees_a_change():
    place = {part: connection.settings_dict[part] for part in PLACE}
    catalog = make_catalog(products=2)
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, json.dumps(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "engage.settings"},
    )
    try:
        first = ask(other)
        change(catalog, "p2", in_stock=False)
        second = ask(other)
    finally:
        other.stdin.close()
        other.wait(10)
    assert first == [1, ["p1", "p2"], [True, True]]
    assert second == [2, ["p1", "p2"], [True, False]]


def ask(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())
