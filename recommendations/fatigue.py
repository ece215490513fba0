"""What somebody was shown again and again without a click, and when it may come back.

Showings count whatever the channel. They stop counting when the person clicks on the product, when
it was not shown for the days of its rest, and while it costs less than it did when it was shown.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from engage.lib import clock
from recommendations.persons import DAY_MS, Person
from recommendations.policy import Fatigue
from recommendations.shelf import Shelf

DAMPING: Final = 0.5  # of the relevance, for each showing from `damp_after` on


class Showings(Protocol):
    """How often one product was shown to one person."""

    @property
    def times(self) -> Sequence[tuple[int, float | None]]:
        """When, in ms, newest first, and the price it had; None where that is not known."""

    @property
    def clicked_ms(self) -> int:
        """The last click; 0 for none."""


Shown = Mapping[str, Showings]  # by product


def tire(
    people: Sequence[Person],
    shown: Sequence[Shown],
    here: Shelf,
    *,
    fatigue: Fatigue,
    now: datetime,
) -> None:
    """Ban what wore out and damp what begins to, variants included."""
    price_of = here.products.column("price").value
    now_ms = clock.to_millis(now)
    for person, products in zip(people, shown, strict=True):
        for item, showings in products.items():
            row = here.products.index.get(item)
            if row is None:
                continue
            count = count_tiring(
                showings, price=price_of(row), rest_days=fatigue.rest_days, now_ms=now_ms
            )
            factor = weaken(count, fatigue)
            if factor == 0:
                person.banned |= here.widen({row})
            elif factor < 1:
                for variant in here.widen({row}):
                    person.damped[variant] = min(factor, person.damped.get(variant, 1.0))


def count_tiring(showings: Showings, *, price: float | None, rest_days: int, now_ms: int) -> int:
    """How many showings weigh on the product today, at its price of today."""
    rest_ms = rest_days * DAY_MS
    count, later_ms = 0, now_ms
    for shown_ms, price_then in showings.times:
        if shown_ms <= showings.clicked_ms or later_ms - shown_ms >= rest_ms:
            break
        later_ms = shown_ms
        count += not is_cheaper(price, price_then)
    return count


def is_cheaper(price: float | None, price_then: float | None) -> bool:
    """As it stands on a card, with two decimals."""
    return price is not None and price_then is not None and round(price, 2) < price_then


def weaken(count: int, fatigue: Fatigue) -> float:
    """What is left of the relevance after so many showings: 1 all of it, 0 nothing."""
    if fatigue.block_after and count >= fatigue.block_after:
        return 0.0
    if fatigue.damp_after and count >= fatigue.damp_after:
        return float(DAMPING ** (count - fatigue.damp_after + 1))
    return 1.0
