"""Who wants a product: the profiles it would be recommended to, and how many at each score.

Read from the columnar history in two passes over pieces of it, so memory grows with the profiles
that touched something that speaks for the product, not with the events. What was not stored yet
does not count. Of touches at the very same moment serving may take another order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from engage.lib import clock
from engage.lib.errors import InvalidInput
from engage.profiles import history, identity, terms
from recommendations import shelf
from recommendations.algorithms.ranking import FADING, HISTORY
from recommendations.algorithms.wanting import Threshold, Wanting, column_of, list_thresholds
from recommendations.alike import find_alike
from recommendations.artifact import Artifact
from recommendations.interactions import PURCHASE, SILENT, look_up, number_by_term
from recommendations.shelf import Shelf

MOST: Final = 1_000  # profiles that are named
BOUGHT_DAYS: Final = 365  # who bought it, or a variant, needs no telling


class Wanter(NamedTuple):
    """One who wants it, and which of the products they touched speaks for it most."""

    profile_id: int
    name: str  # user id, else anonymous id, else the profile id
    score: float
    because: str


@dataclass(frozen=True, slots=True)
class Audience:
    item: str
    profiles: int  # who want it at all
    bought: int  # who want it too, and were left out
    thresholds: list[Threshold]
    top: list[Wanter]  # the highest score first; of equals the smaller profile id
    build: int | None


class Terms(NamedTuple):
    """What the numbers of the history mean here."""

    number: NDArray[np.int32]  # of the item in the model, -1 for none
    sold: NDArray[np.int32]  # 1: the product, or a variant
    silent: NDArray[np.int32]  # 1: an event that says no liking
    purchase: int  # the event


def find(
    item: str, *, catalog: str = "default", n: int = 100, data_dir: Any = None, now: datetime
) -> Audience:
    """The audience of a product, its `n` keenest profiles by name.

    Raises
    ------
    InvalidInput
        For a product the catalog does not have, or a number out of its bounds.
    """
    if not 0 <= n <= MOST:
        raise InvalidInput(f"n is {n}, expected 0 to {MOST:,}.")
    here = shelf.current(catalog)
    row = here.products.index.get(item)
    if row is None:
        raise InvalidInput(f"{item[:80]!r} is not a product of catalog {catalog!r}.")
    build = here.model.build_id if here.model else None
    if here.model is None:
        return Audience(item, 0, 0, [], [], build)
    column = find_column(row, here, here.model)
    past = history.open_history(data_dir)
    known = read_terms(here, row)
    members, buyers = find_members(past, known, column, now=now)
    found = weigh(past, known, members, column, chosen=here.model.facts.get("parameters", {}))
    return describe(item, here.model, members, buyers, found, n=n)


def find_column(row: int, here: Shelf, model: Artifact) -> NDArray[np.float32]:
    """What each item of the model says for the product.

    For one that came after the build, and that none speaks for yet, what is described like it
    does; such scores compare with each other only.
    """
    number = here.numbers[row]
    if number >= 0:
        column = column_of(number, *model.reading("personal"), newer=model.newer("personal"))
        if column.any() or here.descriptions is None or here.descriptions.knows(number):
            return column
    column = np.zeros(len(model.item_ids), np.float32)
    if here.descriptions is not None:
        here.descriptions.meet({here.products.ids[row]: number})
        everything = np.ones(column.size, np.bool_)  # sold out, they still speak for it
        rows, scores = find_alike(here, row, allowed=everything)
        column[here.number_of[rows[rows >= 0]]] = scores[rows >= 0]
    return column


def read_terms(here: Shelf, row: int) -> Terms:
    items, events = terms.values("item"), terms.values("event")
    rows = number_by_term(items, here.products.index)
    numbers = np.append(here.number_of, np.int32(-1))[rows]
    sold = np.isin(rows, sorted(here.widen({row}))).astype(np.int32)
    silent = np.array([event in SILENT for event in events], np.int32)
    return Terms(numbers, sold, silent, events.index(PURCHASE) if PURCHASE in events else -1)


def find_members(
    past: history.History, known: Terms, column: NDArray[np.float32], *, now: datetime
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The profiles that ever touched something that speaks for the product, and who bought it.

    Both sorted.
    """
    speaks = np.append(column > 0, False)[known.number].astype(np.int32)
    since_ms = clock.to_millis(now - timedelta(days=BOUGHT_DAYS))
    members = buyers = np.zeros(0, np.bool_)
    for piece in past.read_backwards():
        touched = look_up(speaks, piece.item, 0) > 0
        members = mark(members, piece.profile[touched])
        bought = (piece.event == known.purchase) & (piece.ts_ms >= since_ms)
        sold = look_up(known.sold, piece.item[bought], 0) > 0
        buyers = mark(buyers, piece.profile[bought][sold])
    return np.flatnonzero(members), np.flatnonzero(buyers)


def mark(flags: NDArray[np.bool_], profiles: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The flags by profile id with those of the profiles set; longer where it must be."""
    missing = int(profiles.max(initial=-1)) + 1 - flags.size
    if missing > 0:
        flags = np.append(flags, np.zeros(missing, np.bool_))
    flags[profiles] = True
    return flags


def weigh(
    past: history.History,
    known: Terms,
    members: NDArray[np.int64],
    column: NDArray[np.float32],
    *,
    chosen: Mapping[str, Any],
) -> Wanting:
    """The scores of the members, from their touches as serving knows them."""
    found = Wanting(
        column,
        n_profiles=members.size,
        history=chosen.get("history", HISTORY),
        fading=np.float32(chosen.get("fading", FADING)),
        most_touches=settings.RECENT_ITEMS,
    )
    if not members.size:
        return found
    place_of = np.full(members[-1] + 2, -1, np.int64)  # by profile id; the last: all above
    place_of[members] = np.arange(members.size)
    for piece in past.read_backwards():
        place = place_of[np.minimum(piece.profile, members[-1] + 1)]
        kept = np.flatnonzero((place >= 0) & (piece.item > 0))
        kept = kept[~found.is_full()[place[kept]]]
        kept = kept[np.argsort(-piece.ts_ms[kept], kind="stable")]  # one event's items as it is
        item = look_up(known.number, piece.item[kept], -1)
        item[look_up(known.silent, piece.event[kept], 0) > 0] = -1
        found.add(place[kept], item)
    return found


def describe(
    item: str,
    model: Artifact,
    members: NDArray[np.int64],
    buyers: NDArray[np.int64],
    found: Wanting,
    *,
    n: int,
) -> Audience:
    wanted = found.scores_ > 0
    bought = np.isin(members, buyers)
    left = np.flatnonzero(wanted & ~bought)
    left = left[np.argsort(-found.scores_[left], kind="stable")]
    scores = found.scores_[left]
    best = left[:n]
    names = identity.list_identities(members[best].tolist())
    top = [
        Wanter(
            profile_id,
            names[profile_id][0][1] if profile_id in names else str(profile_id),
            float(found.scores_[place]),
            model.item_ids[found.because_[place]],
        )
        for place, profile_id in zip(best.tolist(), members[best].tolist(), strict=True)
    ]
    bought_too = int((wanted & bought).sum())
    return Audience(item, left.size, bought_too, list_thresholds(scores), top, model.build_id)
