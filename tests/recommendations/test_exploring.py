from collections import Counter
from datetime import timedelta

import pytest

from catalog import filters, snapshot
from catalog.models import Product
from engage.lib.errors import InvalidInput
from recommendations import arms, policy, serve, shelf
from recommendations.models import ArmResult
from recommendations.serve import Exploration
from tests.factories import NOON
from tests.recommendations.shops import BUY, change, log_of, make_shop, publish, touch, who

pytestmark = pytest.mark.django_db
IDS = [f"{kind}{number}" for kind in "abcz" for number in range(6)]
BASKETS = [[f"{kind}{n}" for n in range(6)] for kind in "aaabbc" * 5]  # nobody touched a z


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=[name[0] for name in IDS])
    Product.objects.update(first_seen=NOON - timedelta(days=400))
    publish(log_of(BASKETS, IDS), IDS)
    return catalog


def ask(*people, share=0.5, key="slot 1", n=4, now=NOON, **options):
    people = people or [who(touch("a0"), profile_id=1)]
    explore = Exploration(share, key)
    return serve.recommend(people, n=n, explore=explore, now=now, **options)


def last(filled):
    return filled.picks[-1]


def many(count=400, *, touches=None, **options):
    touches = [touch("a0")] if touches is None else touches
    return ask(*[who(*touches, profile_id=n) for n in range(1, count + 1)], **options)


def items(filled):
    return [pick.item for pick in filled.picks]


def test_without_a_share_nothing_is_left_to_chance(shop):
    person = who(touch("a0"), profile_id=1)
    [plain] = serve.recommend([person], n=4, now=NOON)
    assert ask(person, share=0.0) == [plain]
    assert all(pick.chance is None for pick in plain.picks)


def test_only_the_last_places_are_open_a_quarter_of_them(shop):
    [plain] = serve.recommend([who(touch("a0"), profile_id=1)], n=8, now=NOON)
    for filled in many(100, n=8):
        assert items(filled)[:6] == items(plain)[:6]
        assert [pick.chance is not None for pick in filled.picks] == [False] * 6 + [True] * 2
        assert [pick.rank for pick in filled.picks] == list(range(1, 9))
    assert last(ask(n=1)[0]).chance is not None


def test_the_logged_probability_is_how_often_it_is_shown(shop):
    shown = [last(filled) for filled in many(4_000)]
    p = {pick.item: pick.chance.p for pick in shown}
    assert sum(p.values()) == pytest.approx(1)  # everything that can be shown was
    counts = Counter(pick.item for pick in shown)
    for item, likely in p.items():
        error = (likely * (1 - likely) / 4_000) ** 0.5
        assert counts[item] / 4_000 == pytest.approx(likely, abs=4.5 * error)


def test_the_probability_is_the_sum_over_the_arms(shop):
    played = dict(zip(arms.ARMS, arms.probabilities("default"), strict=True))
    for filled in many(300):
        chance = last(filled).chance
        listed = chance.arms.get("list", 0)
        tried = sum(played[arm] * p for arm, p in chance.arms.items() if arm != "list")
        assert chance.p == pytest.approx(0.5 * listed + 0.5 * tried)


def test_each_arm_alone_is_a_policy_of_its_own(shop):
    """Over all that may be shown, an arm's probabilities sum to one; also of an empty arm."""
    by_item = {last(filled).item: last(filled).chance.arms for filled in many(4_000)}
    for arm in (*arms.ARMS, "list"):
        assert sum(own.get(arm, 0) for own in by_item.values()) == pytest.approx(1), arm
    assert by_item["a4"]["arrivals"] == 1.0  # nothing arrived, so it leaves what stands there


def test_preview_and_message_of_a_day_agree(shop):
    assert many(200) == many(200, now=NOON + timedelta(hours=11))
    assert many(200)[::-1] == ask(*[who(touch("a0"), profile_id=n) for n in range(200, 0, -1)])


def test_another_slot_or_day_draws_anew(shop):
    drawn = [items(filled) for filled in many(200)]
    assert drawn != [items(filled) for filled in many(200, key="slot 2")]
    assert drawn != [items(filled) for filled in many(200, now=NOON + timedelta(days=1))]


def test_nobody_known_gets_the_plain_list(shop):
    [filled] = ask(who(touch("a0")))
    assert last(filled).chance is None


def test_drawn_products_obey_stock_filter_and_purchases(shop):
    change(shop, "z0", in_stock=False)
    rule = filters.parse(
        {"column": "id", "op": "!=", "value": "z1"}, types=snapshot.current("default").types
    )
    bought = [touch("a0"), touch("z2", BUY), touch("b0", BUY)]
    shown = {last(filled).item for filled in many(2_000, touches=bought, filter=rule)}
    assert {"z3", "z4", "z5"} <= shown
    assert not shown & {"z0", "z1", "z2", "b0"}


def test_nothing_stands_twice_in_a_list_variants_neither(shop):
    for item in ("a1", "z1", "z2"):
        change(shop, item, group_id="one")
    for filled in many(1_000, n=8):
        assert len(set(items(filled))) == 8
        assert len({"a1", "z1", "z2"} & set(items(filled))) <= 1


def test_pinned_places_are_not_open(shop):
    ranking = policy.parse({"pins": [{"place": 4, "item": "c5"}]})
    for filled in many(50, ranking=ranking):
        assert (last(filled).item, last(filled).chance) == ("c5", None)


def test_cold_products_get_their_turn_day_by_day(shop):
    Product.objects.bulk_create(
        Product(
            catalog=shop, item_id=f"zz{n:02}", name="new", first_seen=NOON, version=shop.version
        )
        for n in range(40)
    )
    Product.objects.update(first_seen=NOON - timedelta(days=400))
    snapshot.forget()
    cold = set()
    for day in range(5):
        shown = {
            last(filled).item
            for filled in many(1_500, now=NOON + timedelta(days=day), touches=[])
            if last(filled).chance.arm == "cold"
        }
        assert len(shown) == 10
        cold |= shown
    assert cold == {f"z{n}" for n in range(6)} | {f"zz{n:02}" for n in range(40)}


def test_every_drawn_product_says_which_arm_it_came_from(shop):
    change(shop, "z5", first_seen=NOON - timedelta(days=3))
    shelf.forget()
    drawn = [last(filled) for filled in many(2_000)]
    assert {pick.chance.arm for pick in drawn} == {*arms.ARMS, "list"}
    assert {pick.item for pick in drawn if pick.source == "arrivals"} == {"z5"}
    for pick in drawn:
        if pick.rung == "explored":
            assert pick.chance.arm == pick.source in pick.chance.arms
        else:
            assert pick.item == "a4"


def test_arms_are_played_as_often_as_they_are_likely_to_be_the_best(shop):
    counts = {"trend": (1_000, 10), "similar": (1_000, 100), "arrivals": (500, 2)}
    arms.write_counts({"default": counts}, now=NOON)
    played = dict(zip(arms.ARMS, arms.probabilities("default").tolist(), strict=True))
    assert played["similar"] > 0.6
    assert played["trend"] == pytest.approx(0.02)
    assert arms.probabilities("other").tolist() == pytest.approx([0.2] * 5, abs=0.02)


def test_counts_are_replaced_whole(shop):
    arms.write_counts({"default": {"trend": (5, 1), "cold": (3, 0)}, "shoes": {}}, now=NOON)
    arms.write_counts({"default": {"trend": (7, 2)}}, now=NOON + timedelta(hours=1))
    [row] = ArmResult.objects.all()
    assert (row.arm, row.shown, row.clicked) == ("trend", 7, 2)
    assert row.counted_at == NOON + timedelta(hours=1)
    arms.write_counts({}, now=NOON)
    assert not ArmResult.objects.exists()


@pytest.mark.parametrize("share", [-0.1, 0.51, float("nan")])
def test_a_share_out_of_its_bounds_is_refused(shop, share):
    with pytest.raises(InvalidInput, match=r"explore is .*, expected 0 to 0\.5"):
        ask(share=share)


def test_caps_hold_for_what_is_explored(shop):
    ranking = policy.parse({"caps": {"category": 1}})
    found = many(200, ranking=ranking, n=3)
    assert any(last(filled).rung == "explored" for filled in found)
    assert all(len({item[0] for item in items(filled)}) == 3 for filled in found)
