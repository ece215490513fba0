"""The places in a template that recommendations fill, for a batch of people at once."""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from campaigns.errors import Problem
from campaigns.models import Slot
from catalog import filters
from catalog.errors import InvalidFilter, UnknownCatalog
from recommendations import serve
from recommendations.context import ROOTS, list_strangers

RUNGS = (
    "personal",
    "similar_to_last",
    "trending_in_category",
    "trending",
    "best_sellers",
    "hand_picked",
)
logger = logging.getLogger(__name__)

Shown = tuple[dict[str, Any], dict[str, Any]]  # a product as templates see it, and for the ledger
SLOT_SHORT = "slot_short"  # why a message was dropped


@dataclass(frozen=True, slots=True)
class Filling:
    """The slots of one person's message. `drop` says why the message must not go out."""

    cards: Mapping[str, list[dict[str, Any]]]  # slot name → products, as a template sees them
    items: list[dict[str, Any]]  # what was shown, for the ledger
    drop: str = ""


def fill(
    slots: Sequence[Slot],
    *,
    who: Sequence[serve.Who],
    contexts: Sequence[serve.Context] | None = None,
    now: datetime,
) -> list[Filling]:
    """One filling per person, in their order. No product stands twice in one message.

    `contexts`: what the slots' filters may refer to, one per person.
    """
    shown: list[set[str]] = [set() for _ in who]
    cards: list[dict[str, list[dict[str, Any]]]] = [{} for _ in who]
    items: list[list[dict[str, Any]]] = [[] for _ in who]
    drops = [""] * len(who)
    for slot in slots:
        for number, picks in enumerate(_recommend(slot, who, shown, contexts=contexts, now=now)):
            if len(picks) < slot.minimum:
                picks = []
                if slot.on_short == Slot.Short.DROP_MESSAGE:
                    drops[number] = SLOT_SHORT
            cards[number][slot.name] = [card for card, _ in picks]
            items[number] += [{"slot": slot.name, **record} for _, record in picks]
            shown[number].update(record["item"] for _, record in picks)
    return [Filling(*parts) for parts in zip(cards, items, drops, strict=True)]


def _recommend(
    slot: Slot,
    who: Sequence[serve.Who],
    shown: Sequence[set[str]],
    *,
    contexts: Sequence[serve.Context] | None,
    now: datetime,
) -> list[list[Shown]]:
    rule = _parsed(json.dumps(slot.filter, sort_keys=True)) if slot.filter else None
    try:
        filled = serve.recommend(
            who,
            catalog=slot.catalog,
            n=slot.maximum,
            ladder=tuple(slot.ladder) or serve.DEFAULT_LADDER,
            filter=rule,
            exclude_events=slot.exclude_events or None,  # None: the usual, what was bought
            exclude_items=shown,
            contexts=contexts,
            now=now,
        )
        found = serve.list_cards(filled, catalog=slot.catalog, filter=rule)
    except UnknownCatalog:
        # Deleted after the launch, which checks it: the slot is short for everybody.
        logger.warning("slot without its catalog", extra={"slot": slot.pk})
        return [[] for _ in who]
    return [[_shown(*one, rank) for rank, one in enumerate(cards, start=1)] for cards in found]


def _shown(pick: serve.Pick, card: serve.Card, rank: int) -> Shown:
    return (
        {**card, "link": card["url"], "rank": rank, "reason": pick.reason},
        {"item": pick.item, "rank": rank, "rung": pick.rung, "source": pick.source},
    )


def check(slot: Slot) -> Iterator[Problem]:
    """What is wrong with a slot, as sentences; nothing is looked up."""
    place = f"slot {slot.name}"
    yield from _check_filter(slot.filter or {}, place)
    if not _list_of(slot.ladder, RUNGS):
        yield Problem(f"{place}, ladder", f"expected a list of: {', '.join(RUNGS)}")
    if not isinstance(slot.exclude_events, Mapping) or not all(
        isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= 3_650
        for days in slot.exclude_events.values()
    ):
        yield Problem(f"{place}, exclude_events", 'expected {"Order Completed": 365}, in days')
    if slot.minimum > slot.maximum:
        yield Problem(f"{place}, minimum", "is above the maximum")


def _check_filter(data: object, place: str) -> Iterator[Problem]:
    try:
        rule = filters.parse(data)
    except InvalidFilter as exc:
        yield from (
            Problem(f"{place}, {problem.path}", problem.message) for problem in exc.problems
        )
        return
    for path in list_strangers(rule):
        about = f"there is no context “{path}”: it begins with {', '.join(ROOTS)}"
        yield Problem(f"{place}, filter", about)


def _list_of(value: object, allowed: Collection[str]) -> bool:
    return isinstance(value, list) and all(one in allowed for one in value)


@lru_cache(maxsize=256)
def _parsed(text: str) -> filters.Filter:
    return filters.parse(json.loads(text))
