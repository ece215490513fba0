import logging
import operator
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import builders, filters, texts
from catalog.errors import InvalidFilter
from catalog.snapshot import Snapshot

TYPES = {
    "id": "text",
    "name": "text",
    "category": "text",
    "price": "number",
    "in_stock": "boolean",
    "made": "time",
    "tags": "list",
    "size": "number",
}
PRODUCTS = {
    "a": {"name": "Hat", "category": "hats", "price": 10, "in_stock": True, "tags": ["red"]},
    "b": {"name": "Cap", "category": "hats", "price": 25, "in_stock": False, "size": 4},
    "c": {"name": "Boot", "category": "shoes", "in_stock": True, "made": "2026-11-02T12:00:00Z"},
    "d": {"name": "Ha", "price": 9.99, "in_stock": True, "tags": ["red", "blue"], "size": 0},
}


def make_snapshot(products, *, packed=("name",)):
    ids = sorted(products)
    columns = {}
    for name, kind in TYPES.items():
        built = builders.builder("packed" if name in packed else kind)
        built.extend([item_id if name == "id" else products[item_id].get(name) for item_id in ids])
        columns[name] = built.finish()
    index = {item_id: row for row, item_id in enumerate(ids)}
    return Snapshot(1, "default", 1, ids, index, TYPES, columns)


def chosen(data, *, context=None):
    found = make_snapshot(PRODUCTS)
    mask = filters.parse(data, types=TYPES).mask(found, context=context or {})
    return "".join(np.array(found.ids)[mask])


def when(column, op, value=None):
    return {"column": column, "op": op} | ({} if value is None else {"value": value})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "abcd"),
        ({"all": []}, "abcd"),
        ({"any": []}, ""),
        ({"not": {}}, ""),
        (when("price", "<=", 10), "ad"),
        (when("price", "<", 10), "d"),
        (when("price", ">=", 10), "ab"),
        (when("price", ">", 10), "b"),
        (when("price", "=", 9.99), "d"),
        (when("price", "!=", 10), "bcd"),
        (when("price", "in", [10, 25]), "ab"),
        (when("price", "not in", [10, 25]), "cd"),
        (when("price", "is missing"), "c"),
        (when("price", "is present"), "abd"),
        (when("category", "=", "hats"), "ab"),
        (when("category", "=", "coats"), ""),
        (when("category", "!=", "hats"), "cd"),
        (when("category", "in", ["shoes", "coats"]), "c"),
        (when("category", "contains", "ho"), "c"),
        (when("category", "is missing"), "d"),
        (when("name", "=", "Ha"), "d"),
        (when("name", "contains", "Ha"), "ad"),
        (when("name", "in", ["Ha", "Cap"]), "bd"),
        (when("name", "not in", ["Ha", "Cap"]), "ac"),
        (when("in_stock", "=", True), "acd"),
        (when("in_stock", "!=", True), "b"),
        (when("made", ">=", "2026-11-02"), "c"),
        (when("made", "<", "2026-11-02T12:00:00+00:30"), ""),
        (when("made", "!=", "2026-11-02T13:00:00+01:00"), "abd"),
        (when("tags", "contains", "red"), "ad"),
        (when("tags", "contains", "re"), ""),
        (when("tags", "is missing"), "bc"),
        (when("id", "in", ["a", "c", "x"]), "ac"),
        (when("size", "=", 0), "d"),
        ({"not": when("price", "<=", 10)}, "bc"),
        ({"all": [when("price", "<=", 10), when("category", "=", "hats")]}, "a"),
        ({"any": [when("price", ">", 20), {"not": when("tags", "is missing")}]}, "abd"),
    ],
)
def test_filter_lets_through(data, expected):
    assert chosen(data) == expected


def test_context_gives_the_value():
    trigger = {"trigger": {"category": "hats", "price": 20, "ids": ["a", "b"]}}
    same = when("category", "=", {"context": "trigger.category"})
    dearer = when("price", "<=", {"context": "trigger.price", "times": 1.25})
    assert chosen(same, context=trigger) == "ab"
    assert chosen({"all": [same, dearer]}, context=trigger) == "ab"
    assert (
        chosen(when("price", ">", {"context": "trigger.price", "times": 0.5}), context=trigger)
        == "b"
    )
    assert chosen({"not": when("id", "in", {"context": "trigger.ids"})}, context=trigger) == "cd"


def test_missing_context_lets_nothing_through():
    different = when("category", "!=", {"context": "trigger.category"})
    assert chosen(different) == ""
    assert chosen({"any": [when("price", ">", 1), {"not": different}]}) == ""
    assert chosen(different, context={"trigger": {"category": 7}}) == ""


def test_filter_that_no_longer_fits_lets_nothing_through_and_says_so(caplog):
    parsed = filters.parse({"not": when("colour", "=", "red")})
    with caplog.at_level(logging.WARNING):
        assert not parsed.mask(make_snapshot(PRODUCTS)).any()
    assert "does not fit the catalog" in caplog.text
    with pytest.raises(
        InvalidFilter, match=r"filter\.not\.column: the catalog has no column 'colour'"
    ):
        parsed.check(TYPES)


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (None, "filter", "expected an object"),
        ([], "filter", "expected an object"),
        ({"all": {}}, "filter.all", "expected a list"),
        ({"all": [{"any": [7]}]}, "filter.all[0].any[0]", "expected an object"),
        ({"al": []}, "filter", "expected exactly one of"),
        ({"all": [], "any": []}, "filter", "expected exactly one of"),
        ({"all": [], "not": {}}, "filter", "expected exactly one of"),
        ({"all": [], "x": 1}, "filter.x", "is not known here"),
        (when(7, "=", 1), "filter.column", "expected the name"),
        (when("price", "~", 1), "filter.op", "expected one of"),
        (when("price", None, 1), "filter.op", "expected one of"),
        (when("price", [], 1), "filter.op", "expected one of"),
        (when("price", "="), "filter.value", "is missing"),
        (when("price", "is missing", 1), "filter.value", "has no place"),
        (when("price", "in", []), "filter.value", "expected a list of 1 to 1000"),
        (when("price", "in", 3), "filter.value", "expected a list"),
        (when("price", "=", [3]), "filter.value", "expected a text, a number"),
        (when("price", "=", float("nan")), "filter.value", "expected a text, a number"),
        (when("price", "=", 10**400), "filter.value", "expected a text, a number"),
        (when("name", "=", "a\x00"), "filter.value", "no product can have"),
        (when("name", "=", "\ud800"), "filter.value", "no product can have"),
        (when("name", "=", "x" * 1001), "filter.value", "longer than"),
        (when("name", "contains", ""), "filter.value", "is empty"),
        (when("price", "=", {"context": ""}), "filter.value.context", "expected a path"),
        (when("price", "=", {"context": "a", "times": "2"}), "filter.value.times", "a number"),
        (when("price", "=", {"contxt": "a"}), "filter.value.contxt", "is not known"),
        (
            {"all": [{}, when("price", "<=", "20")]},
            "filter.all[1].value",
            "expected a number for column price",
        ),
        (when("price", "contains", "2"), "filter.op", "column price is a number and takes"),
        (when("category", "<", 2), "filter.op", "column category is a text and takes"),
        (when("in_stock", "=", "yes"), "filter.value", "expected true or false"),
        (when("made", ">", "soon"), "filter.value", "expected a time"),
        (when("tags", "=", "red"), "filter.op", "column tags is a list"),
        (when("tags", "contains", 3), "filter.value", "expected a text"),
        (when("price", "in", [1, "2"]), "filter.value", "a list, each a number"),
        (when("colour", "=", "red"), "filter.column", "no column 'colour'"),
    ],
)
def test_bad_node_is_named_with_its_path(data, path, message):
    with pytest.raises(InvalidFilter) as caught:
        filters.parse(data, types=TYPES)
    assert caught.value.problems[0].path == path
    assert message in caught.value.problems[0].message


def test_message_about_half_a_letter_can_be_sent():
    with pytest.raises(InvalidFilter) as caught:
        filters.parse({"all": [], "\ud800\x1b": 1})
    assert caught.value.message == "filter.��: is not known here"


def test_every_bad_node_is_named():
    data = {"all": [when("price", "~", 1), when("name", "="), {"not": 3}]}
    with pytest.raises(InvalidFilter) as caught:
        filters.parse(data)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["filter.all[0].op", "filter.all[1].value", "filter.all[2].not"]


def test_depth_and_size_are_bounded():
    deep = {}
    for _ in range(500):
        deep = {"not": deep}
    with pytest.raises(InvalidFilter, match="nested deeper than 10"):
        filters.parse(deep)
    with pytest.raises(InvalidFilter, match="one of more than 200 conditions"):
        filters.parse({"all": [when("price", "=", n) for n in range(10_000)]})


def test_sentence():
    data = {
        "all": [
            when("price", "<=", 20),
            {"any": [when("category", "in", ["hats", "shoes"]), when("tags", "contains", "new")]},
            {"not": when("name", "=", "Hat")},
            when("price", "<", {"context": "trigger.price", "times": 1.2}),
            when("url", "is present"),
        ]
    }
    assert filters.parse(data).describe() == (
        "price is at most 20 and (category is one of “hats”, “shoes” or tags contains “new”) and"
        " not (name is “Hat”) and price is less than 1.2 × the trigger price and url is present"
    )
    assert filters.parse({}).describe() == "every product"


def test_columns_says_what_is_looked_at():
    data = {"all": [when("price", "<=", 20), {"not": when("in_stock", "=", True)}]}
    assert filters.parse(data).columns == {"price", "in_stock"}


def test_filters_that_ask_the_same_are_equal():
    one, other = (filters.parse(when("eco", "=", True)) for _ in range(2))
    assert {one: "found"}[other] == "found"
    assert one != filters.parse(when("eco", "=", 1))


# --- against a plain evaluator -----------------------------------------------------------------

WORDS = ["", "a", "b", "ab", "aba", "ä", "é"]
NUMBERS = [-1, 0, 0.1, 2, 3.5]
TIMES = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T10:00:00Z"]
VALUES = {
    "id": st.sampled_from(["p0", "p1", "p2", "x"]),
    "name": st.sampled_from(WORDS),
    "category": st.sampled_from(WORDS),
    "price": st.sampled_from(NUMBERS),
    "in_stock": st.booleans(),
    "made": st.sampled_from(TIMES),
    "tags": st.sampled_from(["a", "b", "ab"]),
    "size": st.sampled_from(NUMBERS),
}
COMPARE = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda found, wanted: found in wanted,
    "contains": lambda found, wanted: wanted in found,
}


@st.composite
def conditions(draw):
    column = draw(st.sampled_from(list(TYPES)))
    op = draw(st.sampled_from(filters.OPS_OF[TYPES[column]]))
    if op in filters.BARE:
        return when(column, op)
    value = VALUES[column]
    if op == "contains":
        value = value.filter(bool)
    if op in {"in", "not in"}:
        value = st.lists(value, min_size=1, max_size=3)
    return {"column": column, "op": op, "value": draw(value)}


trees = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=6,
)
products = st.fixed_dictionaries(
    {},
    optional={
        "name": VALUES["name"],
        "category": VALUES["category"],
        "price": VALUES["price"],
        "in_stock": st.booleans(),
        "made": VALUES["made"],
        "tags": st.lists(VALUES["tags"], max_size=2),
        "size": VALUES["size"],
    },
)


def holds(data, product):
    """One product, one node, in plain Python."""
    if not data:
        return True
    if "all" in data:
        return all(holds(child, product) for child in data["all"])
    if "any" in data:
        return any(holds(child, product) for child in data["any"])
    if "not" in data:
        return not holds(data["not"], product)
    found, op = product.get(data["column"]), data["op"]
    missing = found is None or found == "" or found == []
    if op == "is missing":
        return missing
    if op == "is present":
        return not missing
    if op in {"!=", "not in"}:
        return not holds(data | {"op": filters.POSITIVE[op]}, product)
    return not missing and COMPARE[op](found, data["value"])


@given(
    tree=trees,
    rows=st.lists(products, max_size=6),
    words=st.sampled_from([0, 2, 50]),
    few=st.sampled_from([0, 20]),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mask_agrees_with_a_plain_evaluator(tree, rows, words, few):
    before, builders.MOST_WORDS = builders.MOST_WORDS, words  # texts coded or packed alike
    texts.FEW, few = few, texts.FEW
    try:
        named = {f"p{number}": row | {"id": f"p{number}"} for number, row in enumerate(rows)}
        found = make_snapshot(named)
        mask = filters.parse(tree, types=TYPES).mask(found)
    finally:
        builders.MOST_WORDS, texts.FEW = before, few
    assert mask.dtype == bool
    assert mask.tolist() == [holds(tree, named[item_id]) for item_id in found.ids]


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_search_counts_a_row_once_however_often_it_has_the_text(block):
    column = builders.builder("packed")
    column.extend(["a" * 1_000, "b", "", "ba", None])
    found = column.finish()
    places = texts.occurrences(found.values, b"a", block=block)
    assert len(places) <= 1 + 1 + 1_001 // block  # a row that lies in two blocks is met in both
    assert found.matches("contains", "a").tolist() == [True, False, False, True, False]


def test_prices_compare_as_they_were_written():
    prices = {f"p{cents:04}": {"price": float(Decimal(cents) / 100)} for cents in range(2_000)}
    found = make_snapshot(prices)
    mask = filters.parse(when("price", "<=", 19.99)).mask(found)
    assert mask.sum() == 2_000
    assert filters.parse(when("price", "=", 10.1)).mask(found).sum() == 1
