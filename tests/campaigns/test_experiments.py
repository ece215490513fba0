from decimal import Decimal

from campaigns.experiments import choose_variant, is_held_out
from campaigns.models import Variant


def test_the_control_group_is_about_its_share_and_always_the_same():
    held = [p for p in range(20_000) if is_held_out(7, person=p, percent=Decimal("10.00"))]
    assert len(held) == 2020
    assert held[:6] == [5, 16, 18, 27, 30, 41]


def test_raising_the_percentage_keeps_who_was_held_out():
    small = {p for p in range(5_000) if is_held_out(7, person=p, percent=Decimal(5))}
    large = {p for p in range(5_000) if is_held_out(7, person=p, percent=Decimal(20))}
    assert small < large


def test_nobody_and_everybody():
    assert not any(is_held_out(7, person=p, percent=Decimal(0)) for p in range(2_000))
    assert all(is_held_out(7, person=p, percent=Decimal(100)) for p in range(2_000))


def test_variants_follow_their_weights_whatever_their_order():
    a, b = Variant(pk=1, campaign_id=7, name="a", weight=3), Variant(pk=2, campaign_id=7, weight=1)
    first = [choose_variant([a, b], person=p).pk for p in range(8_000)]
    assert first == [choose_variant([b, a], person=p).pk for p in range(8_000)]
    assert abs(first.count(2) - 2_000) < 120


def test_being_held_out_says_nothing_about_the_variant():
    a, b = Variant(pk=1, campaign_id=7, weight=1), Variant(pk=2, campaign_id=7, weight=1)
    treated = [p for p in range(8_000) if not is_held_out(7, person=p, percent=Decimal(50))]
    ones = sum(choose_variant([a, b], person=p).pk == 1 for p in treated)
    assert abs(ones / len(treated) - 0.5) < 0.03
