import csv
import io
import json
import threading
from decimal import Decimal

import pytest
from django.db import OperationalError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import products, snapshot, staging, uploads
from catalog.errors import InvalidFile, TooManyRemoved, UploadBusy, UploadRefused
from catalog.models import Catalog, Product, Upload
from engage.lib.errors import Unavailable
from tests.factories import NOON, make_catalog, make_product

pytestmark = pytest.mark.django_db


def stage(data, *, file_name="feed.csv", catalog="default", **options):
    raw = data.encode() if isinstance(data, str) else data
    return uploads.stage(
        io.BytesIO(raw), file_name=file_name, catalog=catalog, now=NOON, **options
    )


def load(data, *, allow_removals=False, **options):
    return uploads.apply(stage(data, **options), now=NOON, allow_removals=allow_removals)


def figures(upload):
    words = ("added", "changed", "removed", "unchanged", "refused")
    return tuple(upload.report[word] for word in words)


def refused(upload):
    return [
        (row["line"], row["id"], row["column"], row["reason"])
        for row in upload.report["refused_rows"]
    ]


def live():
    rows = Product.objects.filter(deleted_at=None).order_by("item_id")
    return {row.item_id: row for row in rows}


def staging_tables():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'catalog_stage_%'")
        return cursor.fetchone()[0]


FEED = """\
sku,Title,product_type,price,currency,Image Link,link,availability,item_group_id,weight,colours
a,Hat,hats,12.50,EUR,https://x.example/a.jpg,https://x.example/a,in stock,g,0.2,red|blue
b,Cap,hats,,,,,out of stock,,1,red
"""


def test_every_column_of_a_first_file_arrives():
    upload = load(FEED)
    assert figures(upload) == (2, 0, 0, 0, 0)
    hat, cap = live().values()
    assert (hat.name, hat.category, hat.price, hat.currency) == (
        "Hat",
        "hats",
        Decimal("12.50"),
        "EUR",
    )
    assert (hat.image_url, hat.url) == ("https://x.example/a.jpg", "https://x.example/a")
    assert (hat.in_stock, hat.group_id) == (True, "g")
    assert hat.extra == {"weight": 0.2, "colours": ["red", "blue"]}
    assert (cap.price, cap.in_stock, cap.extra) == (None, False, {"weight": 1, "colours": ["red"]})
    catalog = Catalog.objects.get()
    assert (catalog.version, catalog.updated_at) == (1, NOON)
    assert catalog.columns == {"weight": "number", "colours": "list"}
    assert {hat.version, cap.version} == {1}
    assert (upload.state, upload.finished_at) == (Upload.State.APPLIED, NOON)
    assert staging_tables() == 0


def test_staging_changes_nothing_and_shows_the_difference():
    load("id,name,price\na,Hat,1\nb,Cap,2\nc,Boot,3\nd,Sock,4\n")
    upload = stage("id,name,price\na,Hat,1\nb,Cap,2.50\nc,Boot,3\ne,Belt,5\n")
    assert upload.state == Upload.State.STAGED
    assert figures(upload) == (1, 1, 1, 2, 0)
    assert upload.report["examples"] == {
        "added": [{"id": "e", "name": "Belt"}],
        "changed": [{"id": "b", "was_now": {"price": [2.0, 2.5]}}],
        "removed": [{"id": "d", "name": "Sock"}],
    }
    assert list(live()) == ["a", "b", "c", "d"]
    assert Catalog.objects.get().version == 1


def test_applying_writes_only_what_differs():
    load("id,name\na,Hat\nb,Cap\nc,Boot\n")
    load("id,name\na,Hat\nb,Cape\nd,Belt\n")
    rows = {row.item_id: (row.version, row.deleted_at) for row in Product.objects.all()}
    assert rows == {"a": (1, None), "b": (2, None), "c": (2, NOON), "d": (2, None)}


def test_same_file_again_keeps_the_version_and_renews_the_age(now):
    catalog = load(FEED).catalog
    Catalog.objects.update(updated_at="2020-01-01T00:00:00Z")
    upload = load(FEED)
    catalog.refresh_from_db()
    assert figures(upload) == (0, 0, 0, 2, 0)
    assert (catalog.version, catalog.updated_at) == (1, now)


def test_columns_that_the_file_lacks_stay_as_they_are():
    load("id,name,price,in_stock,size,brand\na,Hat,5,no,3,Acme\n")
    upload = load("id,name,size\na,Hat,\nb,Cap,4\n")
    assert figures(upload) == (1, 1, 0, 0, 0)
    hat, cap = live().values()
    assert (hat.price, hat.in_stock, hat.extra) == (Decimal(5), False, {"brand": "Acme"})
    assert (cap.price, cap.in_stock, cap.extra) == (None, True, {"size": 4})
    assert Catalog.objects.get().columns == {"size": "number", "brand": "text"}


def test_product_that_returns_has_nothing_of_its_former_life():
    load("id,name,price\na,Hat,5\nb,Cap,6\nc,Boot,7\n")
    load("id,name\na,Hat\nb,Cap\n")
    upload = load("id,name\na,Hat\nb,Cap\nc,Boot\n")
    assert figures(upload) == (1, 0, 0, 2, 0)
    assert live()["c"].price is None


def test_refused_rows_are_named_and_the_others_arrive():
    rows = [
        "id,name,price,url,in_stock",
        "a,Hat,-1,,",
        ",Cap,1,,",
        "c,,1,ftp://x,",
        "d,Boot,1,,",
        "d,Boots,2,,",
        "e,Belt,1",
        'f,"Sock"s,1,,',
        "g,Scarf,1.999,,maybe",
        "h,Gl\x00ve,1,,",
    ]
    upload = load("\n".join(rows))
    assert list(live()) == ["d"]
    assert live()["d"].name == "Boot"
    assert figures(upload) == (1, 0, 0, 0, 8)
    assert [(line, item, column) for line, item, column, _ in refused(upload)] == [
        (2, "a", "price"),
        (3, "", "id"),
        (4, "c", "name"),
        (4, "c", "url"),
        (6, "d", "id"),
        (7, "e", ""),
        (8, "f", ""),
        (9, "g", "price"),
        (9, "g", "in_stock"),
        (10, "h", "name"),
    ]
    assert refused(upload)[4][3] == "is the same as in line 5"


@pytest.mark.parametrize(
    ("file_name", "whole", "broken"),
    [
        ("a.csv", 'id,name,note\na,"Hat",1\n"b",Cap,1\nc,Tie,1', 'b,"Cap" of "wool",1'),
        ("a.csv", 'id,name,note\na,"Hat",1\n"b",Cap,1\nc,Tie,1', '"b","Cap"x,1'),
        ("a.csv", "id,name,note\na,Hat,1\nb,Cap,1\nc,Tie,1", f"b,Cap,{'x' * 200_000}"),
        (
            "a.jsonl",
            '{"id":"a","name":"Hat"}\n{"id":"b","name":"Cap"}\n{"id":"c","name":"Tie"}',
            '{"id":"b", "other": 5 "name":"Cap}',
        ),
    ],
)
def test_product_whose_row_cannot_be_read_stays_as_it_is(file_name, whole, broken):
    load(whole, file_name=file_name)
    lines = whole.split("\n")
    lines[-2] = broken
    upload = load("\n".join(lines), file_name=file_name)
    assert figures(upload) == (0, 0, 0, 2, 1)
    assert [(line, item) for line, item, *_ in refused(upload)] == [(len(lines) - 1, "b")]
    assert list(live()) == ["a", "b", "c"]


def test_product_whose_row_is_refused_stays_as_it_is():
    load("id,name,price\na,Hat,1\nb,Cap,2\nc,Boot,3\n")
    upload = load("id,name,price\na,Hat,1\nb,Cap,free\nc,Boot\n")
    assert figures(upload) == (0, 0, 0, 1, 2)
    assert live()["b"].price == Decimal(2)
    assert live()["c"].price == Decimal(3)


def test_rows_without_use_change_nothing():
    load("id,name\na,Hat\n")
    with pytest.raises(UploadRefused, match="No row of the file can be used"):
        load("id,name,price\na,Hat,free\nb,Cap,cheap\n")
    assert live()["a"].version == 1


def test_file_that_lacks_too_many_products_needs_a_word():
    load("id,name\n" + "".join(f"{n},Hat\n" for n in range(10)))
    five = "id,name\n" + "".join(f"{n},Hat\n" for n in range(5))
    six = "id,name\n" + "".join(f"{n},Hat\n" for n in range(6))
    upload = stage(five)
    with pytest.raises(TooManyRemoved, match=r"remove 5 of 10 products \(50 %\), more than 40 %"):
        uploads.apply(upload, now=NOON)
    assert len(live()) == 10
    uploads.apply(upload, now=NOON, allow_removals=True)
    assert len(live()) == 5
    load("id,name\n" + "".join(f"{n},Hat\n" for n in range(10)))
    assert figures(load(six)) == (0, 0, 4, 6, 0)  # exactly 40 %


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("id,name\n", "The file has no products"),
        ("id,name\n\n\n", "The file has no products"),
        ("id,name\n1\n", "The file has no products. Line 2 has 1 cells, the header has 2"),
        (
            "code,name\n1,Hat\n",
            "no column “id” .or item_id, product_id.*columns are: “code”, “name”",
        ),
        ("id,price\n1,2\n", "no column “name”"),
        ("id,name,Price,price\n1,Hat,2,3\n", "both stand for price"),
        ("i\x00d,name\n1,Hat\n", "control character"),
        ("id,name," + ",".join(f"c{n}" for n in range(201)) + "\n", "no products|more than 200"),
    ],
)
def test_unusable_file_leaves_no_trace(data, message):
    with pytest.raises(InvalidFile, match=message):
        stage(data)
    assert not Catalog.objects.exists()
    assert not Upload.objects.exists()
    assert staging_tables() == 0


def test_bad_name_of_a_catalog_is_refused():
    with pytest.raises(InvalidFile, match="catalog's name “Sale 50%”: Use a-z"):
        stage(FEED, catalog="Sale 50%")


def test_stated_types_win_and_unfit_rows_are_refused():
    upload = load("id,name,size\na,Hat,38\nb,Cap,XL\n", types={"size": "number"})
    assert refused(upload) == [(3, "b", "size", "expected a number, not “XL”")]
    with pytest.raises(InvalidFile, match="“colour” to give a type to"):
        stage("id,name,size\na,Hat,38\n", types={"colour": "text"})
    with pytest.raises(InvalidFile, match="“int” is none of text, number"):
        stage("id,name,size\na,Hat,38\n", types={"size": "int"})


def test_change_of_type_is_shown_and_known_types_stay():
    load("id,name,size,code\na,Hat,38,x1\n")
    upload = load("id,name,size,code\na,Hat,XL,12\n")
    assert upload.report["retyped"] == {"size": ["number", "text"]}
    assert Catalog.objects.get().columns == {"size": "text", "code": "text"}


def test_price_may_bring_its_currency():
    upload = load("id,name,price\na,Hat,12.50 EUR\nb,Cap,3\n")
    assert [row.currency for row in live().values()] == ["EUR", ""]
    assert figures(load("id,name,price\na,Hat,12.50 EUR\nb,Cap,3\n")) == (0, 0, 0, 2, 0)
    upload = load("id,name,price,currency\na,Hat,12.50 USD,EUR\nb,Cap,3,usd\n")
    assert refused(upload) == [(2, "a", "price", "is in USD, but currency says EUR")]
    assert live()["b"].currency == "USD"


def test_json_lines_bring_typed_values():
    rows = [
        {"id": 1, "name": "Hat", "price": 19.99, "in_stock": False, "tags": ["x"], "ean": "007"},
        {"id": "2", "name": "Cap", "price": "5", "size": None, "when": "2026-01-01"},
        {"id": "3", "name": {"en": "Boot"}},
        {"id": "4", "name": "Sock", "tags": {"a": 1}},
    ]
    upload = load("\n".join(map(json.dumps, rows)), file_name="feed.jsonl")
    assert upload.report["types"] == {
        "tags": "list",
        "ean": "text",
        "size": "text",
        "when": "time",
    }
    first, second = live().values()
    assert (first.item_id, first.price, first.in_stock) == ("1", Decimal("19.99"), False)
    assert first.extra == {"tags": ["x"], "ean": "007"}
    assert second.extra == {"when": "2026-01-01T00:00:00Z"}
    assert [(line, column) for line, _, column, _ in refused(upload)] == [(3, "name"), (4, "tags")]


def test_evil_texts_survive_the_way():
    names = [
        "\\N",
        "\\.",
        "a\tb\\n",
        "'; DROP TABLE x; --",
        "%s %(a)s",
        "שלום",
        "🧢",
        "=1+1",
        "{{7*7}}",
    ]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "name", "own"])
    writer.writerows([number, name, name + "x"] for number, name in enumerate(names))
    load(out.getvalue(), types={"own": "text"})
    assert [row.name for row in live().values()] == names
    assert [row.extra["own"] for row in live().values()] == [name + "x" for name in names]
    assert figures(load(out.getvalue())) == (0, 0, 0, len(names), 0)


def test_newer_upload_takes_the_place_of_a_waiting_one():
    first = stage("id,name\na,Hat\n")
    second = stage("id,name\nb,Cap\n")
    with pytest.raises(UploadRefused, match="a newer one took its place"):
        uploads.apply(first, now=NOON)
    uploads.apply(second, now=NOON)
    with pytest.raises(UploadRefused, match="This upload is applied"):
        uploads.apply(second, now=NOON)
    assert list(live()) == ["b"]
    assert staging_tables() == 0


@pytest.mark.parametrize("accident", ["TRUNCATE", "DROP TABLE"])
def test_staged_rows_lost_in_a_crash_remove_nothing(accident):
    load("id,name\na,Hat\nb,Cap\nc,Boot\n")
    upload = stage("id,name\na,Hat\nb,Cap\n")
    with connection.cursor() as cursor:
        cursor.execute(f"{accident} catalog_stage_{upload.pk}")
    with pytest.raises(UploadRefused, match=r"is gone\. Upload it again"):
        uploads.apply(upload, now=NOON, allow_removals=True)
    assert len(live()) == 3


def test_discarded_upload_leaves_only_its_report():
    upload = uploads.discard(stage("id,name\na,Hat\n"), now=NOON)
    assert (upload.state, upload.report["added"], staging_tables()) == ("refused", 1, 0)


def test_rehearsal_leaves_nothing():
    with uploads.rehearsal():
        load(FEED)
    assert not Catalog.objects.exists()
    assert staging_tables() == 0


def test_change_between_staging_and_applying_is_seen():
    load("id,name,price\na,Hat,1\nb,Cap,2\n")
    upload = stage("id,name,price\na,Hat,1\nb,Cap,2\n")
    products.upsert("default", [{"id": "c", "name": "New"}, {"id": "b", "name": "Cape"}], now=NOON)
    upload = uploads.apply(upload, now=NOON)
    assert figures(upload) == (0, 1, 1, 1, 0)
    assert live()["b"].name == "Cap"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["write_changed", "write_added", "mark_removed", "drop"])
def test_death_while_applying_changes_nothing(step, monkeypatch):
    load("id,name\na,Hat\nb,Cap\nc,Boot\n")
    upload = stage("id,name\na,Hut\nb,Cap\nd,Belt\n")
    genuine = getattr(staging, step)

    def dies(*args):
        genuine(*args)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(staging, step, dies)
    with pytest.raises(OperationalError):
        uploads.apply(upload, now=NOON)
    monkeypatch.undo()
    assert {item: (row.name, row.version) for item, row in live().items()} == {
        "a": ("Hat", 1),
        "b": ("Cap", 1),
        "c": ("Boot", 1),
    }
    assert Catalog.objects.get().version == 1
    assert figures(uploads.apply(upload, now=NOON)) == (1, 1, 1, 1, 0)


@pytest.mark.django_db(transaction=True)
def test_second_upload_is_told_to_wait():
    load("id,name\na,Hat\n")
    seen = run_beside(lambda: load("id,name\nb,Cap\n"), holding=lambda: stage("id,name\na,Hut\n"))
    assert isinstance(seen, UploadBusy)
    assert list(live()) == ["a"]


@pytest.mark.django_db(transaction=True)
def test_product_put_is_told_to_wait_while_the_first_upload_makes_the_catalog(monkeypatch):
    monkeypatch.setattr(products, "LOCK_SECONDS", 0.05)
    seen = run_beside(
        lambda: products.upsert("default", [{"id": "b", "name": "Cap"}], now=NOON),
        holding=lambda: stage("id,name\na,Hat\n"),
    )
    assert isinstance(seen, Unavailable)
    assert live() == {}


@pytest.mark.django_db(transaction=True)
def test_change_through_the_api_is_told_to_wait_while_an_upload_goes_live(monkeypatch):
    monkeypatch.setattr(products, "LOCK_SECONDS", 0.05)
    load("id,name\na,Hat\n")
    upload = stage("id,name\na,Hut\n")
    seen = run_beside(
        lambda: products.patch("default", [{"id": "a", "in_stock": False}], now=NOON),
        holding=lambda: uploads.apply(upload, now=NOON),
    )
    assert isinstance(seen, Unavailable)


def run_beside(call, *, holding):
    """What `call` raises in another session while `holding` has not been committed."""
    seen = []

    def other():
        try:
            seen.append(call())
        except Exception as exc:
            seen.append(exc)
        finally:
            connection.close()

    with transaction.atomic():
        holding()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
    return seen[0]


def test_snapshot_follows_an_upload():
    load("id,name\na,Hat\nb,Cap\nc,Boot\n")
    assert snapshot.current("default").ids == ["a", "b", "c"]
    load("id,name,in_stock\na,Hat,no\nb,Cap,yes\nd,Belt,yes\n")
    found = snapshot.refresh("default")
    assert (found.ids, found.in_stock.tolist()) == (["a", "b", "d"], [False, True, True])


def test_only_some_of_many_refused_rows_are_kept():
    rows = "".join(f"{n},Hat,free\n" for n in range(500))
    upload = load("id,name,price\nx,Cap,1\nx,Cap,1\n" + rows)
    assert upload.report["refused"] == 501
    assert len(upload.report["refused_rows"]) == uploads.REFUSED_SHOWN
    assert upload.report["refused_rows"][0]["line"] == 3


# --- the file, applied, is the catalog ---------------------------------------------------

feeds = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "é"]),
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["Hat", "Cap\\n", 'a,"b"\nc']),
            "price": st.sampled_from(["", "1.00", "2.50"]),
            "category": st.sampled_from(["", "x"]),
            "in_stock": st.sampled_from(["yes", "no"]),
            "brand": st.sampled_from(["", "Acme", "7"]),
        }
    ),
    min_size=1,
)


@given(versions=st.lists(feeds, min_size=1, max_size=3))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_applied_difference_is_the_file(versions):
    with transaction.atomic():
        make_product(catalog=make_catalog(), item_id="old")
        for rows in versions:
            before = {item: facts(row) for item, row in live().items()}
            out = io.StringIO()
            writer = csv.writer(out)
            names = sorted(next(iter(rows.values())))
            writer.writerow(["id", *names])
            writer.writerows([item, *(row[n] for n in names)] for item, row in rows.items())
            upload = load(out.getvalue(), types={"brand": "text"}, allow_removals=True)
            after = {item: facts(row) for item, row in live().items()}
            assert after == rows
            common = before.keys() & after.keys()
            changed = sum(before[item] != after[item] for item in common)
            added, removed = len(after.keys() - common), len(before.keys() - common)
            assert figures(upload) == (added, changed, removed, len(common) - changed, 0)
        transaction.set_rollback(True)


def facts(row):
    return {
        "name": row.name,
        "price": "" if row.price is None else str(row.price),
        "category": row.category,
        "in_stock": "yes" if row.in_stock else "no",
        "brand": row.extra.get("brand", ""),
    }


# --- odd files and odd moments -----------------------------------------------------------------


def test_currency_beside_the_amount_is_kept_under_every_heading():
    load("ID,Name,Unit Price\na,A,12 EUR\n")
    assert (live()["a"].price, live()["a"].currency) == (12, "EUR")


def test_currency_in_another_column_than_the_price_says_nothing_about_the_price():
    load("id,name,price,currency\na,A,5,USD\n")
    load("id,name,price,unit_price\na,A,,1 EUR\n")
    assert (live()["a"].price, live()["a"].currency) == (None, "USD")


def test_name_of_a_file_may_be_bytes_that_are_no_text():
    assert load("id,name\na,A\n", file_name="caf\udce9.csv").file_name == "caf?.csv"


def test_applied_upload_cannot_be_discarded():
    upload = stage("id,name\na,A\n")
    uploads.apply(upload, now=NOON)
    with pytest.raises(UploadRefused, match="is applied already"):
        uploads.discard(upload, now=NOON)
    assert Upload.objects.get().state == Upload.State.APPLIED


def test_columns_that_came_meanwhile_count_against_the_bound():
    load("id,name\na,A\n")
    upload = stage("id,name,more\na,A,1\n")
    wide = {"id": "a", "name": "A"} | {f"c{n}": n for n in range(200)}
    products.upsert("default", [wide], now=NOON)
    with pytest.raises(InvalidFile, match="more than 200 columns"):
        uploads.apply(upload, now=NOON)
    assert len(Catalog.objects.get().columns) == 200


def test_own_column_that_nobody_brings_and_no_product_has_leaves_the_catalog():
    load("id,name,size,colour\na,A,9,red\n")
    load("id,name,size\na,A,\n")  # still in the file, so it stays
    assert Catalog.objects.get().columns == {"size": "number", "colour": "text"}
    upload = load("id,name\na,A\n")
    catalog = Catalog.objects.get()
    assert (catalog.columns, catalog.version) == ({"colour": "text"}, 3)
    assert upload.report["dropped"] == ["size"]
    assert "size" not in snapshot.refresh("default").types


def test_own_column_of_removed_products_alone_leaves_the_catalog():
    load("id,name,size,colour\na,A,9,red\nb,B,,red\nc,C,,\n")
    load("id,name\nb,B\nc,C\n")
    assert Catalog.objects.get().columns == {"colour": "text"}


def test_full_catalog_takes_new_columns_where_old_ones_are_empty():
    wide = {"id": "a", "name": "A"} | {f"c{n}": n for n in range(200)}
    products.upsert("default", [wide], now=NOON)
    with pytest.raises(InvalidFile, match="more than 200 columns"):
        load("id,name,more\na,A,1\n")
    products.patch("default", [{"id": "a", "c7": None}], now=NOON)
    load("id,name,more\na,A,1\n")
    columns = Catalog.objects.get().columns
    assert (len(columns), "more" in columns, "c7" in columns) == (200, True, False)


def test_first_file_that_is_discarded_leaves_no_catalog():
    stage("id,name\na,Hat\n")
    uploads.discard(stage("id,name\nb,Cap\n"), now=NOON)
    assert not Catalog.objects.exists()
    assert not Upload.objects.exists()
    assert staging_tables() == 0


def test_catalog_that_was_there_before_its_first_file_stays():
    Catalog.objects.create(name="default")
    uploads.discard(stage("id,name\na,Hat\n"), now=NOON)
    assert Catalog.objects.count() == 1
    assert Upload.objects.get().state == Upload.State.REFUSED


def test_catalog_that_was_filled_meanwhile_stays():
    upload = stage("id,name\na,Hat\n")
    products.upsert("default", [{"id": "b", "name": "Cap"}], now=NOON)
    uploads.discard(upload, now=NOON)
    assert list(live()) == ["b"]
