"""Writing beside each pick what was known of it, for rankers to learn from."""

from collections.abc import Iterable, Sequence
from math import nan
from typing import Final

import numpy as np

from recommendations import features
from recommendations.algorithms.correlation import NOTHING
from recommendations.features import Features, Told
from recommendations.persons import Person
from recommendations.rungs import Pick
from recommendations.shelf import Shelf

MANY: Final = 8  # people from whom on numpy's calls cost less than what they save
AT_ONCE: Final = 1_000  # people: so much memory, whatever the batch


def note(people: Sequence[Person], here: Shelf) -> None:
    """Write beside each pick what was known of it."""
    known = features.of(here)
    for start in range(0, len(people), AT_ONCE):
        some = people[start : start + AT_ONCE]
        for person, told in zip(some, tell(known, some), strict=True):
            person.picks = [
                Pick(*pick[:-1], one) for pick, one in zip(person.picks, told, strict=True)
            ]


def tell(known: Features, people: Sequence[Person]) -> Iterable[Sequence[Told]]:
    """For each person the numbers of each pick."""
    if len(people) < MANY:
        return [
            known.tell(person.recent, [pick.row for pick in person.picks], list_shares(person))
            for person in people
        ]
    depth = max(len(person.picks) for person in people)
    rows = np.full((len(people), depth), NOTHING, np.int32)
    shares = np.full((len(people), depth), np.nan)
    for place, person in enumerate(people):
        count = len(person.picks)
        rows[place, :count] = [pick.row for pick in person.picks]
        shares[place, :count] = list_shares(person)
    told = features.write_many(known.describe(people, rows, shares))
    return (one[: len(person.picks)] for one, person in zip(told, people, strict=True))


def list_shares(person: Person) -> list[float]:
    """The score of each pick as a share of the best that its rung offered; NaN without a rung.

    Where nothing was chosen anew, the best was picked.
    """
    scales = [scale_of(pick) for pick in person.picks]
    best: dict[tuple[str, bool], float] = {}
    for pick, scale in zip(person.picks, scales, strict=True):
        best[scale] = max(best.get(scale, 0.0), pick.score)
    return [
        nan
        if pick.rung in features.FIXED
        else person.share.get(pick.row, pick.score / (best[scale] or 1))
        for pick, scale in zip(person.picks, scales, strict=True)
    ]


def scale_of(pick: Pick) -> tuple[str, bool]:
    """Scores compare inside a rung, and there not with those of what is described alike."""
    return pick.rung, pick.source == "content"
