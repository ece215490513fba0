"""Writing beside each pick what was known of it, for rankers to learn from."""

from collections.abc import Sequence
from math import nan

from recommendations import features
from recommendations.persons import Person
from recommendations.rungs import Pick
from recommendations.shelf import Shelf


def note(people: Sequence[Person], here: Shelf) -> None:
    """Write beside each pick what was known of it."""
    known = features.of(here)
    for person in people:
        rows = [pick.row for pick in person.picks]
        told = known.tell(person.recent, rows, list_shares(person))
        person.picks = [
            Pick(*pick[:-1], features=one) for pick, one in zip(person.picks, told, strict=True)
        ]


def list_shares(person: Person) -> list[float]:
    """The score of each pick as a share of the best that its rung offered; NaN without a rung.

    Where nothing was chosen anew, the best was picked.
    """
    best: dict[tuple[str, bool], float] = {}
    for pick in person.picks:
        best[scale_of(pick)] = max(best.get(scale_of(pick), 0.0), pick.score)
    return [
        nan
        if pick.rung in features.FIXED
        else person.share.get(pick.row, pick.score / (best[scale_of(pick)] or 1))
        for pick in person.picks
    ]


def scale_of(pick: Pick) -> tuple[str, bool]:
    """Scores compare inside a rung, and there not with those of what is described alike."""
    return pick.rung, pick.source == "content"
