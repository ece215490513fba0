import pytest

from engage.lib.errors import InvalidInput
from recommendations.offline.shop import read_shop, times_ms

from .rows import table

TRAIN = "user,item,event,ts,order"
NOBODY = table("user,item,ts")


def test_guests_are_profiles_by_order_after_the_users():
    rows = [("u", "a", "purchase", 1, "1"), ("", "a", "purchase", 1, "2")]
    rows += [("", "b", "purchase", 1, "2"), ("", "b", "purchase", 1, "")]
    shop = read_shop(table(TRAIN, rows), NOBODY, items=None)
    assert shop.users == ["u"]
    assert shop.train.profile.tolist() == [
        0,
        1,
        1,
    ]  # neither user nor order: nobody
    assert shop.n_profiles == 2


def test_return_is_no_event():
    rows = [("u", "a", "purchase", 1, "1"), ("u", "b", "return", 2, "2")]
    shop = read_shop(table(TRAIN, [*rows, ("v", "a", "return", 3, "3")]), NOBODY, items=None)
    assert (shop.train.item.tolist(), shop.returns, shop.users) == ([0], 2, ["u"])


def test_what_only_the_test_names_is_counted():
    train = table(TRAIN, [("u", "b", "view", 1, "")])
    test = table("user,item,ts", [("u", "c", 5), ("w", "a", 5), ("w", "b", 6)])
    shop = read_shop(train, test, items=table("item,title", [("d", "Mug")]))
    assert shop.items == ["a", "b", "c", "d"]
    assert (shop.unknown_items, shop.unknown_users) == (2, 1)
    assert shop.test.profile.tolist() == [0, -1, -1]


def test_kinds_say_more_and_less():
    kinds = ["view", "favourite", "cart", "purchase", "wishlist"]
    rows = [("u", "a", kind, 1, "") for kind in kinds]
    shop = read_shop(table(TRAIN, rows), NOBODY, items=None)
    assert shop.train.weight.tolist() == [1, 2, 3, 5, 1]
    assert shop.train.bought.tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1970-01-01T00:01", 60_000),
        ("1970-01-01T00:00:01", 1_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01 00:00:01.5", 1_500),
        ("60", 60_000),
        ("0.25", 250),
    ],
)
def test_time_is_read(cell, expected):
    assert times_ms(table("ts", [(cell,)])).tolist() == [expected]


@pytest.mark.parametrize("cell", ["", "yesterday", "nan", "inf"])
def test_no_time_is_refused_with_its_line(cell):
    with pytest.raises(InvalidInput, match="line 3"):
        times_ms(table("ts", [("60",), (cell,)]))
