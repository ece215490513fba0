"""Giving the last places of a list to what is tried little, and saying how likely that was.

Of a list of eight the last two places are open to it. Whether, from which arm and which product is
drawn from numbers that belong to the person, the place that asks and the day: a preview and the
message of that day agree. See `algorithms/exploration.py` for the arithmetic.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from engage.lib.errors import InvalidInput
from recommendations import arms
from recommendations.algorithms.exploration import draw, propensity
from recommendations.arms import ARMS, LIST
from recommendations.persons import DAY_MS, Person
from recommendations.pins import PINNED
from recommendations.reranking import DEPTH, Reranker
from recommendations.shelf import Choice, Shelf, walk

if TYPE_CHECKING:
    from recommendations.rungs import Pick

MOST_SHARE: Final = 0.5
EACH: Final = 4  # one place of so many, at least one
FIRST: Final = 10  # products of an arm that are drawn from
EXPLORED: Final = "explored"  # the rung of such a pick


class Exploration(NamedTuple):
    share: float  # how likely an arm is asked for an open place, 0 to 0.5
    key: str  # what asks, such as "slot 7": others draw other numbers


class Chance(NamedTuple):
    """How a product came to its place."""

    p: float  # how likely it was to be shown there
    arm: str  # the arm it was drawn from; "list": it stood there anyway
    arms: Mapping[str, float]  # arm → how likely the arm alone shows it there


def tell(chance: Chance | None) -> dict[str, Any]:
    """For logs: "p" of every product, "arm" and "arms" where the place was left to chance."""
    return {"p": 1.0} if chance is None else chance._asdict()


class Explorer:
    """For one call: the arms of a catalog on one day."""

    def __init__(
        self,
        exploration: Exploration,
        here: Shelf,
        *,
        catalog: str,
        reranker: Reranker | None = None,
        now: datetime,
    ) -> None:
        if not 0 <= exploration.share <= MOST_SHARE:
            raise InvalidInput(f"explore is {exploration.share}, expected 0 to {MOST_SHARE}.")
        self.share, self.key = exploration
        self.here = here
        self.reranker = reranker  # its caps hold for what is explored, too
        self.day = now.date().toordinal()
        self.probabilities = arms.probabilities(catalog).tolist()

    def explore(self, person: Person, choice: Choice) -> None:
        """Draw the open places of a list. Nobody known: there is nothing to draw by."""
        picks, profile_id = person.picks, person.profile_id
        if not self.share or profile_id is None or not picks:
            return
        rng = np.random.default_rng(digest(f"{profile_id} {self.key} {self.day}"))
        for place in range(len(picks) - max(1, len(picks) // EACH), len(picks)):
            if picks[place].rung != PINNED:
                picks[place] = self.draw(person, place, choice, rng)

    def draw(self, person: Person, place: int, choice: Choice, rng: np.random.Generator) -> "Pick":
        pick = person.picks[place]
        others = {one.row for one in person.picks} - {pick.row}
        blocked = person.banned | self.here.widen(others)
        offers = []
        for find in FINDERS.values():
            free: Iterator[int] = (row for row in find(self, person, choice) if row not in blocked)
            if self.reranker is not None:
                free = self.reranker.keep_caps(islice(free, DEPTH), others)
            offers.append(list(islice(free, FIRST)))
        share, stands, odds = self.share, pick.row, self.probabilities
        row, arm = draw(offers, odds, share=share, incumbent=stands, rng=rng)
        likely = propensity(row, offers, odds, share=share, incumbent=stands)
        by_arm = {name: p for name, p in zip(ARMS, likely.by_arm, strict=True) if p}
        if row == pick.row:
            by_arm[LIST] = 1.0
        name = LIST if arm is None else ARMS[arm]
        chance = Chance(likely.p, name, by_arm)
        if row == pick.row:
            return pick._replace(chance=chance)
        return pick._replace(
            item=self.here.products.ids[row],
            row=row,
            score=chance.p,
            rung=EXPLORED,
            source=name,
            reason=REASONS[name],
            chance=chance,
        )


def digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


# --- the arms: what may be shown, best first --------------------------------------------------


def find_trend(this: Explorer, person: Person, choice: Choice) -> Iterator[int]:
    return (row for row, _ in walk(choice.orders["trend"]))


def find_similar(this: Explorer, person: Person, choice: Choice) -> Iterator[int]:
    """What was met with the last product that the model knows."""
    numbers = this.here.numbers
    last = next((numbers[row] for row in person.recent if numbers[row] >= 0), -1)
    if this.here.model is None or last < 0:
        return
    for number in this.here.model.neighbours("similar", last):
        row = int(this.here.row_of[number])
        if number >= 0 and row >= 0 and choice.rows[row] and row not in person.seen:
            yield row


def find_content(this: Explorer, person: Person, choice: Choice) -> Iterator[int]:
    """What is described like the last product touched."""
    descriptions = this.here.descriptions
    if descriptions is None or not person.recent:
        return
    last = person.recent[0]
    descriptions.meet({this.here.products.ids[last]: this.here.numbers[last]})
    yield from (row for row, _ in walk(choice.alike_to(last)) if row not in person.seen)


def find_arrivals(this: Explorer, person: Person, choice: Choice) -> Iterator[int]:
    until_ms = (this.day - UNIX_DAY) * DAY_MS  # midnight: some are announced for later
    for row, came_ms in walk(this.here.arrivals):
        if came_ms <= until_ms and choice.rows[row]:
            yield row


def find_cold(this: Explorer, person: Person, choice: Choice) -> Iterator[int]:
    """Products that nearly nobody touched yet. Each day begins behind those of the day before."""
    rows = choice.cold
    if rows.size:
        start = this.day * FIRST % rows.size
        yield from (int(rows[(start + step) % rows.size]) for step in range(rows.size))


UNIX_DAY: Final = date(1970, 1, 1).toordinal()
Finder = Callable[[Explorer, Person, Choice], Iterator[int]]
FINDERS: Final[Mapping[str, Finder]] = {
    "trend": find_trend,
    "similar": find_similar,
    "content": find_content,
    "arrivals": find_arrivals,
    "cold": find_cold,
}
REASONS: Final[Mapping[str, str]] = {
    "trend": "popular this fortnight",
    "similar": "goes with what you looked at",
    "content": "like what you looked at",
    "arrivals": "new here",
    "cold": "not yet discovered",
}
