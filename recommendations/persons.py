"""What a person did, read for recommending: what to learn from and what to leave out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.conf import settings

from catalog.filters import Filter
from engage.lib import clock
from engage.profiles.activity import Touch
from recommendations import purchases
from recommendations.interactions import PURCHASE, SILENT
from recommendations.shelf import Shelf

if TYPE_CHECKING:
    from recommendations.rungs import Pick

DAY_MS: Final = 86_400_000
ADDED: Final = "Product Added"
CART_EVENTS: Final = {ADDED, "Product Removed", PURCHASE}


class Who(NamedTuple):
    """A person: profile and touches (`activity.recent`), newest first; nobody known: None, []."""

    profile_id: int | None
    touches: Sequence[Touch]


@dataclass(slots=True, eq=False)
class Person:
    """One person while the ladder is climbed; everything in rows of the snapshot."""

    recent: list[int]  # newest first, each once
    events: list[str]  # what was done with each of them
    banned: set[int]  # never shown, variants included
    seen: set[int]  # not recommended back by what was learned from them
    profile_id: int | None = None
    picks: "list[Pick]" = field(default_factory=list)
    shown: set[int] = field(default_factory=set)  # picked by now, variants included
    attributes: Mapping[str, Any] = field(default_factory=dict)
    filter: Filter | None = None  # with this person's values, where it refers to them
    damped: dict[int, float] = field(default_factory=dict)  # what is left of their relevance
    pinned: list[int] = field(default_factory=list)  # the places of the first picks
    own: dict[int, float] = field(default_factory=dict)  # what may be offered again, its worth
    relevance: dict[int, float] | None = None  # of all candidates, where somebody wants to know
    # Of the picks that were chosen anew: the score as a share of the best of its rung.
    share: dict[int, float] = field(default_factory=dict)


def meet(
    who: Sequence[Who], here: Shelf, *, exclude_events: Mapping[str, int], now: datetime
) -> list[Person]:
    """Everybody, with what they did with the products of `exclude_events` banned."""
    now_ms = clock.to_millis(now)
    since = {event: now_ms - days * DAY_MS for event, days in exclude_events.items()}
    people = [read(one.touches, here, since, one.profile_id) for one in who]
    if since:
        ban_older(people, who, here, exclude_events, since=min(since.values()), now=now)
    return people


def read(
    touches: Sequence[Touch],
    here: Shelf,
    since: Mapping[str, int],
    profile_id: int | None = None,
) -> Person:
    """`since` says from when on, in ms, the touches of an event ban their product."""
    index = here.products.index
    recent: dict[int, str] = {}
    banned: set[int] = set()
    for item, event, ts_ms, _ in touches:
        row = index.get(item)
        if row is None:
            continue
        if event in since and ts_ms >= since[event]:
            banned.add(row)
        if row not in recent and event not in SILENT:
            recent[row] = event
    seen, events = here.widen(set(recent)), list(recent.values())
    return Person(list(recent), events, here.widen(banned), seen, profile_id)


def list_in_cart(touches: Sequence[Touch]) -> set[str]:
    """What was put into the cart and neither taken out nor bought since."""
    last: dict[str, str] = {}
    for item, event, _, _ in touches:
        if event in CART_EVENTS:
            last.setdefault(item, event)
    return {item for item, event in last.items() if event == ADDED}


def ban_older(
    people: Sequence[Person],
    who: Sequence[Who],
    here: Shelf,
    exclude_events: Mapping[str, int],
    *,
    since: int,
    now: datetime,
) -> None:
    """Touches reach only so far back: for those who did more, the stored events are asked."""
    reach = settings.RECENT_ITEMS
    more: dict[int, list[Person]] = {}
    for (profile_id, touches), person in zip(who, people, strict=True):
        full = len(touches) >= reach  # what stands beyond are purchases alone, of any age
        if full and profile_id is not None and touches[reach - 1].ts_ms >= since:
            more.setdefault(profile_id, []).append(person)
    if not more:
        return
    index = here.products.index
    found = purchases.list_items(list(more), events=exclude_events, now=now)
    for profile_id, items in found.items():
        rows = here.widen({index[item] for item in items if item in index})
        for person in more[profile_id]:
            person.banned |= rows
