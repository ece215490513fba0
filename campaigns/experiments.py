"""Who is held out and who gets which variant: computed from stable hashes, never drawn."""

from collections.abc import Sequence
from decimal import Decimal

from campaigns.models import Variant
from engage.lib.ids import stable_unit


def is_held_out(campaign_id: int, *, person: int | str, percent: Decimal) -> bool:
    """The same answer for every run of the campaign; raising the percentage keeps who was in.

    `person` is the profile id; for somebody never seen, the id they came with.
    """
    if not percent:
        return False
    return stable_unit("control", str(campaign_id), str(person)) * 100 < percent


def choose_variant(variants: Sequence[Variant], *, person: int | str) -> Variant:
    """One of the campaign's variants by their weights, in the order of their ids."""
    if len(variants) == 1:
        return variants[0]
    ordered = sorted(variants, key=lambda variant: variant.pk)
    total = sum(variant.weight for variant in ordered)
    point = stable_unit("variant", str(ordered[0].campaign_id), str(person)) * total
    for variant in ordered:
        point -= variant.weight
        if point < 0:
            return variant
    return ordered[-1]
