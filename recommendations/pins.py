"""Products that a marketer wants at a place, for everybody who may be shown them.

A pin obeys what holds for every pick: stock, filter, purchases and the other exclusions. Where it
may not stand, its place goes to the next of the list.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from recommendations.persons import Person

if TYPE_CHECKING:
    from recommendations.rungs import Climb

PINNED: Final = "pinned"  # the rung and the source of such a pick


def pin(this: "Climb", pins: Sequence[tuple[int, str]]) -> None:
    """Put the pins first, so that no rung picks them and variety and caps know of them."""
    index = this.here.products.index
    rows = [(place, index[item]) for place, item in pins if place <= this.n and item in index]
    allowed = [(place, row) for place, row in rows if this.choice.rows[row]]
    for person in this.people:
        for place, row in allowed:
            if row not in person.banned and row not in person.shown:
                this.add(person, row, 0.0, source=PINNED, reason="picked by hand")
                person.pinned.append(place)


def settle(person: Person) -> None:
    """Move the pins from the front to their places; beyond the end of the list is at its end."""
    if not person.pinned:
        return
    count = len(person.pinned)
    pinned, picks = person.picks[:count], person.picks[count:]
    for place, pick in zip(person.pinned, pinned, strict=True):
        picks.insert(place - 1, pick)
    person.picks[:] = [pick._replace(rank=rank) for rank, pick in enumerate(picks, start=1)]
