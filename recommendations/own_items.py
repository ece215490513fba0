"""What a person had before, offered again where a slot wants it: a shop's repeat source.

Its share beside what was learned from others is chosen by the build (`Recipe.again`): in a shop of
consumables nearly half of what people buy are repeats, on a film site next to nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np

from engage.lib import clock
from engage.profiles.activity import Touch
from recommendations.algorithms.ranking import Ranked
from recommendations.algorithms.sources.personal import HALF_LIFE_DAYS, POWER
from recommendations.interactions import PURCHASE, SILENT
from recommendations.persons import DAY_MS, Person
from recommendations.shelf import Shelf

OWN: Final = -1  # in the place of the recent item that speaks loudest
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


def add_own(
    ranked: Ranked, people: Sequence[Person], here: Shelf, groups: np.ndarray, *, weight: float
) -> Ranked:
    """The lists of the kernel with each person's own products in them; still padded with -1.

    Both are brought to the scale of their best, and added.
    """
    width = ranked.items.shape[1]
    wide = Ranked._make(
        np.pad(array, ((0, 0), (0, MOST)), constant_values=-1 if array.dtype == np.int32 else 0)
        for array in ranked
    )
    for u, person in enumerate(people):
        numbers = [here.numbers[row] for row in person.own]
        worth = {
            number: value
            for number, value in zip(numbers, person.own.values(), strict=True)
            if groups[number] >= -1 and int(here.row_of[number]) not in person.banned
        }
        if not worth:
            continue
        place_of = {number: k for k, number in enumerate(wide.items[u, :width].tolist())}
        scores = wide.scores[u]
        if scores[0] > 0:
            scores /= scores[0]
        top, free = max(worth.values()), int((wide.items[u] >= 0).sum())
        for number, value in worth.items():
            k = place_of.get(number)
            if k is None:
                k, free = free, free + 1
                wide.items[u, k] = number
            said = float(scores[k])
            scores[k] += weight * value / top
            if weight * value / top > said:
                wide.because[u, k] = OWN
        order = np.lexsort((wide.items[u], -scores, wide.items[u] < 0))
        for array in wide:
            array[u] = array[u, order]
    return wide


def explain(person: Person, row: int) -> str:
    """Why a product is offered again."""
    done = person.events[person.recent.index(row)] if row in person.recent else ""
    return "you bought it before" if done == PURCHASE else "you came back to it before"
