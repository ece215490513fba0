"""What a person had before, offered again where a slot wants it: a shop's repeat source.

Its share beside what was learned from others is chosen by the build (`Recipe.again`): in a shop of
consumables nearly half of what people buy are repeats, on a film site next to nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from engage.lib import clock
from engage.profiles.activity import Touch
from recommendations.algorithms.sources.personal import HALF_LIFE_DAYS, POWER
from recommendations.interactions import PURCHASE, SILENT
from recommendations.joining import Offer
from recommendations.persons import DAY_MS, Person
from recommendations.shelf import Rows, Shelf

MOST: Final = 50  # of a person's own products


def remember(
    people: Sequence[Person], touches: Sequence[Sequence[Touch]], here: Shelf, *, now: datetime
) -> None:
    """How much each is worth to be offered again: by how often, how lately, and its kind.

    ``again**power * sum of 0.5**(age / half life)`` over a person's touches of it, see
    `algorithms/sources/personal`.
    """
    if here.model is None:
        return
    again = here.model.arrays["again"]
    now_ms = clock.to_millis(now)
    index, numbers = here.products.index, here.numbers
    for person, own in zip(people, touches, strict=True):
        worth: dict[int, float] = {}
        for item, event, ts_ms, _ in own:
            row = index.get(item, -1)
            if row < 0 or event in SILENT or not 0 <= numbers[row] < again.size:
                continue
            age = max(now_ms - ts_ms, 0) / DAY_MS
            share = float(again[numbers[row]]) ** POWER * 0.5 ** (age / HALF_LIFE_DAYS)
            worth[row] = worth.get(row, 0.0) + share
        best = sorted(worth, key=lambda row: (-worth[row], row))[:MOST]
        person.own = {row: worth[row] for row in best}


def offer_own(person: Person, here: Shelf, groups: Rows) -> Offer:
    """What the person may be shown again, by number of the artifact."""
    return {
        here.numbers[row]: value
        for row, value in person.own.items()
        if groups[here.numbers[row]] >= -1 and row not in person.banned
    }


def explain(person: Person, row: int) -> str:
    """Why a product is offered again."""
    done = person.events[person.recent.index(row)] if row in person.recent else ""
    return "you bought it before" if done == PURCHASE else "you came back to it before"
