import pytest

from catalog.columns import Evidence, assign
from catalog.errors import InvalidFile


def infer(cells, *, typed=False, known=None):
    evidence = Evidence(typed=typed)
    for cell in cells:
        evidence.add(cell)
    return evidence.type(known=known)


def test_common_columns_come_under_many_names():
    assert assign(["Item", "Title", "Image Link", "Availability", "brand "]) == {
        "Item": "id",
        "Title": "name",
        "Image Link": "image_url",
        "Availability": "in_stock",
        "brand ": "brand",
    }


def test_own_name_wins_over_an_alias():
    found = assign(["sku", "id", "stock", "in_stock"])
    assert found == {"sku": "sku", "id": "id", "stock": "stock", "in_stock": "in_stock"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["id", "Price", "price"], "“Price” and “price” both stand for price"),
        (["id", "  "], "has no name"),
        (["id", "a\x00"], "control character"),
        (["id", "x" * 101], "longer than 100"),
        (["id", *(f"c{n}" for n in range(201))], "more than 200 columns"),
    ],
)
def test_unusable_names_are_refused(names, message):
    with pytest.raises(InvalidFile, match=message):
        assign(names)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([], "text"),
        (["", ""], "text"),
        (["1", "2.5", ""], "number"),
        (["1", "2", "x"], "text"),
        (["1"] * 99 + ["x"], "number"),
        (["1"] * 98 + ["x"] * 2, "text"),
        (["0012", "13"], "text"),
        (["1"] * 999 + ["007"], "text"),
        (["yes", "no"], "boolean"),
        (["0", "1"], "number"),
        (["2026-01-01", "2026-01-02"], "time"),
        (["red|blue", "red", "38"], "list"),
        (["red|blue"] + ["red"] * 20, "text"),
        (["red|blue", "x" * 51], "text"),
    ],
)
def test_type_of_a_table_column(cells, kind):
    assert infer(cells) == kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2"], "text"),
        ([1, 2.5, None], "number"),
        ([True, False], "boolean"),
        ([["a"], "b"], "list"),
        ([1, "a"], "text"),
        ([{"a": 1}], "text"),
    ],
)
def test_type_of_a_json_column(values, kind):
    assert infer(values, typed=True) == kind


@pytest.mark.parametrize(
    ("cells", "known", "kind"),
    [
        (["38", "39"], "text", "text"),
        (["38", "XL"], "number", "text"),
        (["red", "blue"], "list", "list"),
        (["x" * 60], "list", "text"),
        ([], "time", "time"),
    ],
)
def test_known_type_stays_while_it_fits(cells, known, kind):
    assert infer(cells, known=known) == kind
