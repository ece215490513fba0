"""The places in a template that recommendations fill, for a batch of people at once."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from campaigns.models import Slot
from catalog import filters
from catalog.errors import UnknownCatalog
from delivery.shown import Showings, list_shown
from recommendations import cost, policy, serve
from recommendations.cost import Cost
from recommendations.policy import Ranking

RUNGS = (
    "personal",
    "similar_to_last",
    "trending_in_category",
    "people_alike",
    "trending",
    "best_sellers",
    "hand_picked",
)
WISHES = ("variety", "caps", "boosts", "pins", "damp_after", "block_after")
logger = logging.getLogger(__name__)

# A product as templates see it, and for the ledger, and what is expected of it.
Shown = tuple[dict[str, Any], dict[str, Any], float]
SLOT_SHORT = "slot_short"  # why a message was dropped


class Filling(NamedTuple):
    """The slots of one person's message. `drop` says why the message must not go out."""

    cards: Mapping[str, list[dict[str, Any]]]  # slot name → products, as a template sees them
    items: list[dict[str, Any]]  # what was shown, for the ledger
    short: list[dict[str, Any]]  # the slots that found too few, for the ledger
    drop: str = ""
    worth: float = 0.0  # what is expected of the best product for this very person


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
    short: list[list[dict[str, Any]]] = [[] for _ in who]
    drops = [""] * len(who)
    worths = [0.0] * len(who)
    occasion = Occasion(who, contexts, _list_shown(slots, who, now=now), now)
    for slot in slots:
        for number, picks in enumerate(_recommend(slot, occasion, shown)):
            if len(picks) < slot.minimum:
                facts = {"found": len(picks), "needed": slot.minimum}
                short[number].append({"slot": slot.name, "short": slot.on_short, **facts})
                picks = []
                if slot.on_short == Slot.Short.DROP_MESSAGE:
                    drops[number] = SLOT_SHORT
            cards[number][slot.name] = [card for card, _, _ in picks]
            items[number] += [record for _, record, _ in picks]
            shown[number].update(record["item"] for _, record, _ in picks)
            worths[number] = max(worths[number], *(worth for _, _, worth in picks), 0.0)
    return [Filling(*parts) for parts in zip(cards, items, short, drops, worths, strict=True)]


class Occasion(NamedTuple):
    """Who is filled for, and what is known of them."""

    who: Sequence[serve.Who]
    contexts: Sequence[serve.Context] | None
    shown: Sequence[Mapping[str, Showings]] | None  # None: no slot asks for it
    now: datetime


def _list_shown(
    slots: Sequence[Slot], who: Sequence[serve.Who], *, now: datetime
) -> Sequence[Mapping[str, Showings]] | None:
    counts = [count for slot in slots for count in (slot.damp_after, slot.block_after) if count]
    if not counts:
        return None
    return list_shown([one.profile_id for one in who], at_least=min(counts), now=now)


def _recommend(slot: Slot, occasion: Occasion, taken: Sequence[set[str]]) -> list[list[Shown]]:
    rule = read_filter(slot)
    try:
        filled = serve.recommend(
            occasion.who,
            exclude_items=taken,
            contexts=occasion.contexts,
            ranking=read_ranking(slot),
            shown=occasion.shown,
            explore=read_exploration(slot),
            log=True,
            now=occasion.now,
            **contract(slot),
        )
        found = serve.list_cards(filled, catalog=slot.catalog, filter=rule)
    except UnknownCatalog:
        # Deleted after the launch, which checks it: the slot is short for everybody.
        logger.warning("slot without its catalog", extra={"slot": slot.pk})
        return [[] for _ in occasion.who]
    return [
        [_shown(slot.name, *one, rank) for rank, one in enumerate(cards, start=1)]
        for cards in found
    ]


def contract(slot: Slot) -> dict[str, Any]:
    """What a slot asks of the recommender, whoever it is filled for."""
    return {
        "catalog": slot.catalog,
        "n": slot.maximum,
        "ladder": tuple(slot.ladder) or serve.DEFAULT_LADDER,
        "filter": read_filter(slot),
        "repeats": slot.repeats,
        # None: the usual, what was bought; where repeats are wanted nothing is usual.
        "exclude_events": slot.exclude_events or ({} if slot.repeats else None),
        "without": [name for name in ("cart", "trigger") if getattr(slot, f"without_{name}")],
    }


def weigh(
    slot: Slot,
    who: Sequence[serve.Who],
    *,
    contexts: Sequence[serve.Context] | None = None,
    now: datetime,
) -> Cost | None:
    """What its pins and boosts cost these people; None where it has neither."""
    ranking = read_ranking(slot)
    if ranking is None:
        return None
    shown = _list_shown([slot], who, now=now)
    asked = contract(slot) | {"contexts": contexts, "shown": shown, "now": now}
    return cost.weigh(who, ranking=ranking, **asked)


def read_filter(slot: Slot) -> filters.Filter | None:
    return _parsed(json.dumps(slot.filter, sort_keys=True)) if slot.filter else None


def read_ranking(slot: Slot) -> Ranking | None:
    """None where the slot asks for nothing but relevance, as most do."""
    if not any(getattr(slot, name) for name in WISHES):
        return None
    return _ranking(json.dumps(list_wishes(slot), sort_keys=True))


def read_exploration(slot: Slot) -> serve.Exploration | None:
    """None where nothing is left to chance. The slot's number keeps its draws from others'."""
    return serve.Exploration(slot.explore / 100, f"slot {slot.pk}") if slot.explore else None


def list_wishes(slot: Slot) -> dict[str, Any]:
    """The ranking a slot asks for, in the shape of `recommendations.policy`."""
    names = ("damp_after", "block_after", "rest_days")
    return {
        "variety": slot.variety / 100,
        "caps": slot.caps,
        "boosts": slot.boosts,
        "pins": slot.pins,
        "fatigue": {name: getattr(slot, name) for name in names},
    }


def _shown(slot: str, pick: serve.Pick, card: serve.Card, rank: int) -> Shown:
    return (
        {**card, "link": card["url"], "rank": rank, "reason": pick.reason},
        {
            "slot": slot,
            "item": pick.item,
            "rank": rank,
            "rung": pick.rung,
            "source": pick.source,
            "price": card["price"],
            "f": pick.features,
            **serve.tell(pick.chance),
        },
        # Scores of this rung compare for one person; what is popular says nothing of them.
        pick.score if pick.rung == "personal" else 0.0,
    )


@lru_cache(maxsize=256)
def _ranking(text: str) -> Ranking | None:
    return policy.parse(json.loads(text))


@lru_cache(maxsize=256)
def _parsed(text: str) -> filters.Filter:
    return filters.parse(json.loads(text))
