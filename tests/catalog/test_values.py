from decimal import Decimal

import pytest

from catalog import values


@pytest.mark.parametrize(
    ("written", "amount", "currency"),
    [
        ("1234.50", "1234.50", ""),
        ("12", "12.00", ""),
        (" 0.5 ", "0.50", ""),
        ("12.5000", "12.50", ""),
        ("12.50 EUR", "12.50", "EUR"),
        ("12.50 eur", "12.50", "EUR"),
        ("0", "0.00", ""),
        (19.99, "19.99", ""),
        (7, "7.00", ""),
        ("999999999999.99", "999999999999.99", ""),
    ],
)
def test_price_is_exact(written, amount, currency):
    assert values.price(written) == (Decimal(amount), currency)


@pytest.mark.parametrize("written", ["", None, "  "])
def test_no_price_is_none(written):
    assert values.price(written) == (None, "")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("-1", "is negative"),
        (-0.01, "is negative"),
        ("1,5", "is not a price: write 1234.50"),
        ("12,50 €", "is not a price"),
        ("1,234.50", "is not a price"),
        ("1.234,50", "is not a price"),
        ("1 234.50", "is not a price"),
        ("$12", "is not a price"),
        ("EUR 12", "is not a price"),
        ("1e3", "is not a price"),
        (1e300, "is not a price"),
        ("٣", "is not a price"),
        ("1.999", "more than two decimals"),
        ("1000000000000", "is too large"),
        (10**20, "is too large"),
        (float("nan"), "is not a price"),
        (True, "not true or false"),
        ([], "expected a text, not a list"),
        ({}, "expected a text, not an object"),
        ("1\x00", "cannot be stored"),
        ("9" * 101, "is longer than 100"),
    ],
)
def test_price_is_never_guessed(written, reason):
    with pytest.raises(ValueError, match=reason):
        values.price(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (True, True),
        (False, False),
        ("", True),
        ("Yes", True),
        ("no", False),
        ("in stock", True),
        ("Out of stock", False),
        ("out_of_stock", False),
        ("0", False),
        (0, False),
        ("17", True),
        ("-3", False),
        ("TRUE", True),
    ],
)
def test_stock_is_a_word_or_a_quantity(written, expected):
    assert values.stock(written) is expected


@pytest.mark.parametrize("written", ["maybe", "1.5", "preorder", [], "1" * 12])
def test_other_stock_is_refused(written):
    with pytest.raises(ValueError, match=r"neither yes nor no|expected a text"):
        values.stock(written)


@pytest.mark.parametrize(
    "address",
    ["https://shop.example/ü?q=1&r=2#x", "http://localhost:8000/a", "", "https://[::1]/"],
)
def test_web_addresses_pass(address):
    assert values.url(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "ftp://shop.example/",
        "javascript:alert(1)",
        "//shop.example/x",
        "/x",
        "shop.example",
        "https://",
        "https:///x",
        "https://a b/",
        "https://shop.example/\nX-Header: 1",
        'https://shop.example/"onload=',
        "https://shop.example/<script>",
        "https://shop.example:99999/",
        "https://[::1/",
        "data:text/html,x",
        "https://shop.example/" + "x" * 2_000,
    ],
)
def test_other_addresses_are_refused(address):
    with pytest.raises(ValueError, match=r"address|longer"):
        values.url(address)


@pytest.mark.parametrize("written", ["", "  ", None, "a\nb", "a\tb", "a\x00", "x" * 256, "\ud800"])
def test_unusable_ids_are_refused(written):
    with pytest.raises(ValueError, match=r"missing|control|stored|longer"):
        values.item_id(written)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("", ""),
        ("12", "number"),
        ("-0.5", "number"),
        ("1e3", "number"),
        ("007", "code"),
        ("4006381333931", "number"),
        ("12345678901234567", "code"),
        ("1,5", "text"),
        ("+5", "text"),
        ("NaN", "text"),
        ("inf", "text"),
        ("yes", "boolean"),
        ("False", "boolean"),
        ("2026-11-02", "time"),
        ("2026-11-02 10:00", "time"),
        ("2026-11-02T10:00:00.5+01:00", "time"),
        ("2026-13-02", "text"),
        ("0001-01-01T00:00+14:00", "text"),
        ("red|blue", "list"),
        ('["red", "blue"]', "list"),
        ("this | that", "text"),
        ("|", "text"),
        ("[x]", "text"),
        ("[" * 5_000 + "]" * 5_000, "text"),
    ],
)
def test_kind_of_a_cell(cell, kind):
    assert values.kind_of(cell, typed=False) == kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("12", "text"),
        ("2026-11-02", "time"),
        (12, "number"),
        (10**16, "code"),
        (True, "boolean"),
        (["a"], "list"),
        ({"a": 1}, "object"),
        (None, ""),
    ],
)
def test_kind_of_a_json_value(value, kind):
    assert values.kind_of(value, typed=True) == kind


@pytest.mark.parametrize(
    ("value", "kind", "typed", "stored"),
    [
        ("12", "number", False, 12),
        ("12.50", "number", False, 12.5),
        ("yes", "boolean", False, True),
        ("2026-11-02T10:00:00+01:00", "time", False, "2026-11-02T09:00:00Z"),
        ("2026-11-02", "time", True, "2026-11-02T00:00:00Z"),
        ("red|blue", "list", False, ["red", "blue"]),
        ('["red", 3]', "list", False, ["red", "3"]),
        ("red", "list", False, ["red"]),
        ([], "list", True, None),
        (12, "text", True, "12"),
        (True, "text", True, "true"),
        ("  ", "text", False, None),
    ],
)
def test_own_value_is_stored_as_its_type(value, kind, typed, stored):
    assert values.own(value, kind, typed=typed) == stored


@pytest.mark.parametrize(
    ("value", "kind", "typed"),
    [
        ("x", "number", False),
        ("12", "number", True),
        (float("inf"), "number", True),
        (float("nan"), "text", True),
        ("1", "boolean", False),
        ("soon", "time", False),
        ({"a": 1}, "text", True),
        ([["a"]], "list", True),
        (["a"] * 101, "list", True),
        ("x" * 10_001, "text", False),
    ],
)
def test_own_value_of_another_type_is_refused(value, kind, typed):
    with pytest.raises(ValueError, match=r"expected|no number|more than|longer"):
        values.own(value, kind, typed=typed)
