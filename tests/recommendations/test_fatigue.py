from typing import NamedTuple

import pytest

from engage.lib.clock import to_millis
from recommendations import serve
from recommendations.fatigue import count_tiring, weaken
from recommendations.policy import Fatigue, Ranking
from tests.factories import NOON
from tests.recommendations.shops import change, log_of, make_shop, publish, touch, who

NOW_MS = to_millis(NOON)
DAY_MS = 86_400_000


class Showings(NamedTuple):
    times: list
    clicked_ms: int = 0


def shown(*days_ago, price=None, clicked=None):
    times = [(NOW_MS - round(days * DAY_MS), price) for days in sorted(days_ago)]
    return Showings(times, 0 if clicked is None else NOW_MS - clicked * DAY_MS)


def count(showings, *, price=None, rest_days=14):
    return count_tiring(showings, price=price, rest_days=rest_days, now_ms=NOW_MS)


def test_every_showing_counts():
    assert count(shown(1, 2, 8)) == 3


def test_click_wipes_out_what_was_before():
    assert count(shown(1, 2, 8, 9, clicked=5)) == 2


def test_product_that_rested_is_as_new():
    assert count(shown(14, 15, 16)) == 0
    assert count(shown(13.9, 15, 16)) == 3


def test_rest_between_two_showings_counts_too():
    assert count(shown(1, 2, 16, 17)) == 2


def test_price_drop_brings_it_back_at_once():
    assert count(shown(1, 2, 3, price=20.0), price=19.99) == 0
    assert count(shown(1, 2, 3, price=20.0), price=20.0) == 3
    assert count(shown(1, 2, 3, price=20.0), price=21.0) == 3


def test_price_is_compared_as_it_stood_on_the_card():
    assert count(shown(1, 2, price=1.23), price=1.226) == 2


def test_showings_at_the_lower_price_count_anew():
    times = [*shown(1, price=15.0).times, *shown(2, 3, 4, price=20.0).times]
    assert count(Showings(times), price=15.0) == 1


def test_showing_whose_price_nobody_knows_counts():
    assert count(shown(1, 2), price=5.0) == 2
    assert count(shown(1, 2, price=9.0), price=None) == 2


@pytest.mark.parametrize(
    ("showings", "left"), [(0, 1), (2, 1), (3, 0.5), (4, 0.25), (5, 0.125), (6, 0), (9, 0)]
)
def test_relevance_is_halved_then_blocked(showings, left):
    assert weaken(showings, Fatigue(damp_after=3, block_after=6)) == left


def test_zero_is_never():
    assert weaken(50, Fatigue(damp_after=0, block_after=60)) == 1
    assert weaken(50, Fatigue(damp_after=49, block_after=0)) == 0.25


# --- through the recommender -----------------------------------------------------------------

IDS = ["a", "b", "c", "d"]
TIRING = Ranking(fatigue=Fatigue(damp_after=2, block_after=4, rest_days=14))


@pytest.fixture
def shop(db):
    """Beside a: b more than c, c more than d."""
    catalog = make_shop(IDS)
    publish(log_of([["a", "b", "c", "d"], ["a", "b", "c"], ["a", "b"]], IDS), IDS)
    return catalog


def ask(products, **options):
    (found,) = serve.recommend(
        [who(touch("a"))], n=3, ladder=["personal"], ranking=TIRING, shown=[products], now=NOON,
        **options,
    )  # fmt: skip
    return [pick.item for pick in found.picks]


def test_product_that_wears_out_sinks_and_then_goes(shop):
    assert ask({}) == ["b", "c", "d"]
    assert ask({"b": shown(1)}) == ["b", "c", "d"]
    assert ask({"b": shown(1, 2, 3)}) == ["c", "d", "b"]
    assert ask({"b": shown(1, 2, 3, 4)}) == ["c", "d"]


def test_product_is_back_when_its_price_dropped(shop):
    products = {"b": shown(1, 2, 3, 4, price=11.0)}
    assert ask(products) == ["c", "d"]
    change(shop, "b", price=10)
    assert ask(products) == ["b", "c", "d"]


def test_product_that_is_gone_is_no_error(shop):
    assert ask({"gone": shown(1, 2, 3, 4)}) == ["b", "c", "d"]


def test_variant_of_what_wore_out_does_not_step_in(db):
    make_shop(IDS, group_id=["", "m", "m", ""])
    publish(log_of([["a", "b", "d"]] * 2 + [["a", "c"]], IDS), IDS)
    assert ask({"b": shown(1, 2, 3, 4)}) == ["d"]


def test_everybody_has_their_own_showings(shop):
    found = serve.recommend(
        [who(touch("a")), who(touch("a"))],
        n=1,
        ranking=TIRING,
        shown=[{"b": shown(1, 2, 3, 4)}, {}],
        now=NOON,
    )
    assert [one.picks[0].item for one in found] == ["c", "b"]
