"""What a small shop gets: fifty products, a hundred people, a few hundred events."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from recommendations import build, serve, shelf
from recommendations.algorithms.model import ItemModel
from recommendations.algorithms.recipe import Recipe
from recommendations.models import Build
from recommendations.serve import Who
from tests.factories import NOON
from tests.recommendations.shops import (
    BUY,
    CART,
    VIEW,
    log_of,
    make_shop,
    store_history,
    touch,
    who,
)

pytestmark = pytest.mark.django_db
KINDS = ("tea", "cups", "books", "lamps", "toys")
IDS = [f"{kind}{n}" for kind in KINDS for n in range(10)]
Row = tuple[str, str, str, float]


def visits(*, people: int, rng: np.random.Generator, first: int = 0) -> Iterator[Row]:
    """Each goes through two to six products, four of five of one kind; the first are met more."""
    for person in range(first, first + people):
        liked = KINDS[person % len(KINDS)]
        days_ago = float(rng.uniform(1, 30))
        for _ in range(int(rng.integers(2, 7))):
            kind = liked if rng.random() < 0.8 else KINDS[int(rng.integers(len(KINDS)))]
            item = f"{kind}{min(int(rng.geometric(0.25)) - 1, 9)}"
            event = (VIEW, VIEW, VIEW, CART, BUY)[int(rng.integers(5))]
            yield f"u{person}", item, event, days_ago
            days_ago -= 0.02


@pytest.fixture
def shop():
    make_shop(IDS, category=[kind for kind in KINDS for _ in range(10)])
    rows = list(visits(people=100, rng=np.random.default_rng(4)))
    assert 300 < len(rows) < 500
    store_history(rows)
    return rows


def lists_of(rows: list[Row], *, n: int = 10) -> dict[str, list[serve.Pick]]:
    """What everybody is recommended after what they did."""
    people: dict[str, list] = {}
    for user, item, event, days_ago in rows:
        people.setdefault(user, []).append(touch(item, event, hours_ago=24 * days_ago))
    asked = [who(*sorted(touches, key=lambda t: -t.ts_ms)) for touches in people.values()]
    found = serve.recommend(asked, n=n, now=NOON)
    return {user: one.picks for user, one in zip(people, found, strict=True)}


def test_everybody_gets_a_full_list_that_fits_them(shop):
    began = time.monotonic()
    made = build.run("default", now=NOON)
    assert made.state == "live"
    assert time.monotonic() - began < 10  # a second or two; the machine may be busy
    found = lists_of(shop)
    assert len(found) == 100
    own = 0
    for user, picks in found.items():
        liked = KINDS[int(user[1:]) % len(KINDS)]
        assert len({pick.item for pick in picks}) == 10
        bought = {item for one, item, event, _ in shop if one == user and event == BUY}
        assert not bought & {pick.item for pick in picks}
        own += sum(pick.item.startswith(liked) for pick in picks[:5])
    assert own / 500 > 0.6  # a fifth would be chance


def test_strangers_get_what_sells(shop):
    build.run("default", now=NOON)
    (found,) = serve.recommend([Who(None, [])], n=10, now=NOON)
    assert len(found.picks) == 10
    assert {pick.rung for pick in found.picks} <= {"trending", "best_sellers"}


def test_one_shared_person_does_not_beat_ten():
    ids = ["lamp", "bulb", "odd", *(f"x{n}" for n in range(10))]
    together = [["lamp", "bulb"]] * 10 + [["lamp", "odd"]]
    others = [["bulb", f"x{n}"] for n in range(10)]
    model = ItemModel(Recipe(top=10)).fit(log_of([*together, *others], ids))
    for lists in (
        *(model.lists_[name].neighbours for name in ("similar", "next")),
        model.personal_.neighbours,
    ):
        assert lists[0].tolist()[:2] == [1, 2]
    bare = ItemModel(Recipe(top=10, similar_shrink=0.0)).fit(log_of([*together, *others], ids))
    strength = bare.lists_["similar"].scores[0]
    shrunk = model.lists_["similar"].scores[0]
    assert shrunk[0] / shrunk[1] > 1.5 * strength[0] / strength[1]


@pytest.mark.parametrize("seed", range(3))
def test_gate_does_not_flap_on_noise(seed):
    """Each day more people come, all alike: nothing has become worse, nothing is refused."""
    make_shop(IDS)
    rng = np.random.default_rng(seed)
    store_history(list(visits(people=90, rng=rng)))
    for day in range(8):
        store_history(list(visits(people=20, rng=rng, first=90 + 20 * day)))
        build.run("default", now=NOON)
    states = list(Build.objects.order_by("pk").values_list("state", flat=True))
    assert states == [*["replaced"] * 7, "live"]


def test_three_people_get_lists():
    make_shop(IDS)
    rows = [("a", "tea1", VIEW, 3), ("a", "tea2", BUY, 2), ("b", "tea1", VIEW, 2),
            ("b", "cups1", VIEW, 1), ("c", "books1", VIEW, 1)]  # fmt: skip
    store_history(rows)
    assert build.run("default", now=NOON).state == "live"
    found = lists_of(rows, n=3)
    assert next(pick.item for pick in found["a"]) == "cups1"
    assert all(len(picks) == 3 for picks in found.values())


def test_shop_of_one_product_recommends_it_to_who_has_not_bought_it():
    make_shop(["only"])
    store_history([("a", "only", VIEW, 2), ("b", "only", BUY, 1)])
    assert build.run("default", now=NOON).state == "live"
    (stranger,) = serve.recommend([Who(None, [])], n=3, now=NOON)
    assert ([pick.item for pick in stranger.picks], stranger.short) == (["only"], True)
    (buyer,) = serve.recommend([who(touch("only", BUY))], n=3, now=NOON)
    assert (buyer.picks, buyer.short) == ([], True)


def test_where_nothing_is_ever_sold_people_get_what_is_read():
    make_shop(IDS)
    rows = [(user, item, VIEW, days) for user, item, _, days in
            visits(people=100, rng=np.random.default_rng(5))]  # fmt: skip
    store_history(rows)
    assert build.run("default", now=NOON).state == "live"
    assert all(len(picks) == 10 for picks in lists_of(rows).values())
    shelf.forget()
    (found,) = serve.recommend([Who(None, [])], n=5, strategy="best_sellers", now=NOON)
    assert [pick.reason for pick in found.picks] == ["popular"] * 5


def test_second_build_of_the_same_events_is_no_worse(shop):
    assert [build.run("default", now=NOON).state for _ in range(3)] == ["live"] * 3
