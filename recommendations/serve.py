"""Recommendations for one person or ten thousand, at this moment.

A *rung* is a step of the ladder: each fills what the ones before it left open. What may be shown
is decided first, from the catalog as it is now; nobody gets a product twice, nor two variants of
one.
"""

from collections.abc import Collection, Mapping, Sequence, Sized
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from catalog.filters import Filter
from engage.lib.errors import InvalidInput
from recommendations import context, own_items, rankers, shelf
from recommendations.context import Context
from recommendations.exploring import Exploration, Explorer, tell
from recommendations.fatigue import Shown, tire
from recommendations.interactions import PURCHASE
from recommendations.noting import note
from recommendations.persons import Person, Who, list_in_cart, meet
from recommendations.pins import PINNED, pin, settle
from recommendations.policy import Ranking
from recommendations.reranking import Reranker, lay
from recommendations.rungs import RUNGS, Climb, Pick
from recommendations.shelf import Shelf

__all__ = [
    "DEFAULT_LADDER",
    "RUNGS",
    "STRATEGIES",
    "Context",
    "Exploration",
    "Filled",
    "Pick",
    "Who",
    "recommend",
    "tell",
]
DEFAULT_LADDER: Final = (
    "personal",
    "similar_to_last",
    "trending_in_category",
    "people_alike",
    "trending",
    "best_sellers",
    "hand_picked",
)
# A strategy is the first rung; "similar" and "next" ask for the neighbours of one product.
STRATEGIES: Final = (*DEFAULT_LADDER, "similar", "next")
# Bought things are not offered again, returned or not: who sent something back did not want it.
DEFAULT_EXCLUDE_EVENTS: Final[Mapping[str, int]] = {PURCHASE: 365}
LEFT_OUT: Final = ("cart", "trigger")  # what `without` may name
Card = Mapping[str, str | None]  # what a person sees of a product


class Filled(NamedTuple):
    picks: list[Pick]
    short: bool  # fewer than were asked for
    filter: Filter | None = None  # with this person's values, where it refers to them
    # Of the candidates by row, where it was asked for: the score as a share of its rung's best.
    relevance: Mapping[int, float] | None = None


def recommend(
    who: Sequence[Who],
    *,
    catalog: str = "default",
    n: int = 10,
    strategy: str = "personal",
    ladder: Sequence[str] = DEFAULT_LADDER,
    filter: Filter | None = None,
    exclude_events: Mapping[str, int] | None = None,
    exclude_items: Sequence[set[str]] | None = None,
    item: str = "",
    repeats: bool = False,
    contexts: Sequence[Context] | None = None,
    ranking: Ranking | None = None,
    shown: Sequence[Shown] | None = None,
    without: Collection[str] = (),
    weigh: bool = False,
    explore: Exploration | None = None,
    log: bool = False,
    now: datetime,
) -> list[Filled]:
    """The best `n` products for each person, in the order of `who`.

    `strategy` is where the ladder is entered; `item` is the product whose neighbours "similar" and
    "next" give (default: the last one touched). `exclude_events` maps events to days: what the
    person did them with is left out (default: purchases of a year). `exclude_items` has one set
    per person. What a person touched lately is not recommended back by what was learned from it,
    unless `repeats`: then it is offered again by how often and how lately. Only products in stock,
    unless the filter is `only_sold_out`. `contexts` has what the filter may refer to, one per
    person, and the attributes by which those who did nearly nothing are served; the trigger is
    `item`, else the products of the event, else what was touched last.
    `ranking` says more than relevance; its fatigue looks at `shown`, one per person: what they
    were shown lately. `without` leaves out what is in the "cart" now, and the products of the
    "trigger". `weigh` keeps how relevant all candidates were. `explore` leaves the last places to
    chance, see `exploring`. `log` writes beside each pick what a ranker would learn from. Where a
    ranker is live, it orders the first candidates of a rung, see `reranking`.

    Raises
    ------
    InvalidInput
        For an unknown rung, strategy or item, a number or share out of its bounds, or not one set,
        context or history of showings per person.
    """
    rungs = climb(strategy, tuple(ladder))
    given = {"sets of exclusions": exclude_items, "contexts": contexts, "showings": shown}
    check(len(who), n, given)
    here = shelf.current(catalog)
    seed = find_seed(item, here)
    excluded = DEFAULT_EXCLUDE_EVENTS if exclude_events is None else exclude_events
    people = meet(who, here, exclude_events=excluded, now=now)
    for person, own in zip(people, contexts or (), strict=contexts is not None):
        person.attributes = own.profile
    leave_out(people, who, here, items=exclude_items, seed=seed, cart="cart" in without)
    if repeats:
        own_items.remember(people, [one.touches for one in who], here, now=now)
    triggers = context.find_triggers(people, here, contexts=contexts, seed=seed)
    if "trigger" in without:
        for person, rows in zip(people, triggers, strict=True):
            person.banned |= here.widen(set(rows))
    for person in people if weigh else ():
        person.relevance = {}
    ranking, reranker = find_ranking(ranking, catalog, here, weigh=weigh)
    if ranking is not None and ranking.fatigue is not None and shown is not None:
        tire(people, shown, here, fatigue=ranking.fatigue, now=now)
    pins = () if ranking is None else ranking.pins
    explorer = explore and Explorer(explore, here, catalog=catalog, reranker=reranker, now=now)
    for choice, same in context.split(filter, people, here, triggers=triggers, contexts=contexts):
        start = Climb(PINNED, here, choice, same, n, repeats, seed, catalog)
        if pins:
            pin(start, pins)
        take(rungs, start._replace(reranker=reranker))
        for person in same:
            settle(person)
            if explorer:
                explorer.explore(person, choice)
    if log:
        note(people, here)
    return [
        Filled(person.picks, len(person.picks) < n, person.filter, person.relevance)
        for person in people
    ]


def check(people: int, n: int, lists: Mapping[str, Sized | None]) -> None:
    """Refuse what cannot be answered: where a list is given, it has one entry per person."""
    if n < 1:
        raise InvalidInput(f"n is {n}, expected at least 1.")
    for name, given in lists.items():
        if given is not None and len(given) != people:
            raise InvalidInput(f"{people} people have {len(given)} {name}.")


def find_seed(item: str, here: Shelf) -> int | None:
    """The row of the product whose neighbours are asked for; None where none is named."""
    seed = here.products.index.get(item)
    if item and seed is None:
        catalog = here.products.name
        raise InvalidInput(f"{item[:80]!r} is not a product of catalog {catalog!r}.")
    return seed


def leave_out(
    people: Sequence[Person],
    who: Sequence[Who],
    here: Shelf,
    *,
    items: Sequence[Collection[str]] | None,
    seed: int | None,
    cart: bool,
) -> None:
    """Keep from each person what the caller names, the seed and, if so wished, their cart."""
    if items is not None:
        ban(people, items, here)
    if cart:
        ban(people, [list_in_cart(one.touches) for one in who], here)
    if seed is not None:
        for person in people:
            person.banned |= here.widen({seed})


def find_ranking(
    ranking: Ranking | None, catalog: str, here: Shelf, *, weigh: bool
) -> tuple[Ranking | None, Reranker | None]:
    """What says more than the order of the rungs: the caller's wishes and the live ranker."""
    ranker = rankers.live(catalog)
    if ranking is None and (weigh or ranker is not None):
        ranking = Ranking()
    return ranking, None if ranking is None else lay(ranking, here, ranker)


def take(rungs: Sequence[str], start: Climb) -> None:
    """One rung after the other, each for the people whose lists are not full yet."""
    for rung in rungs:
        still_short = [person for person in start.people if len(person.picks) < start.n]
        if not still_short:
            break
        RUNGS[rung](start._replace(rung=rung, people=still_short))


def ban(people: Sequence[Person], items: Sequence[Collection[str]], here: Shelf) -> None:
    """Keep some products and their variants from each person."""
    index = here.products.index
    for person, own in zip(people, items, strict=True):
        if own:
            person.banned |= here.widen({index[item] for item in own if item in index})


def list_cards(
    filled: Sequence[Filled], *, catalog: str = "default", filter: Filter | None = None
) -> list[list[tuple[Pick, Card]]]:
    """For each person the picks that may still be shown, each with its card.

    Both come from the catalog as it is now, which may be newer than what was picked from: what
    was sold out, deleted or moved out of the filter since is left out.
    """
    here = shelf.current(catalog)
    index, card = here.products.index, here.products.card
    found = []
    for one in filled:
        own = one.filter is not None
        allowed = here.choice(one.filter if own else filter, relative=own).rows
        found.append(
            [
                (pick, card(row))
                for pick in one.picks
                if (row := index.get(pick.item)) is not None and allowed[row]
            ]
        )
    return found


@lru_cache(maxsize=256)
def climb(strategy: str, ladder: tuple[str, ...]) -> Sequence[str]:
    """The rungs to take: from the strategy on where the ladder has it, else the strategy first."""
    unknown = [name for name in (strategy, *ladder) if name not in RUNGS]
    if unknown:
        raise InvalidInput(f"{unknown[0]!r} is not known; expected one of {', '.join(RUNGS)}.")
    rungs = list(dict.fromkeys(ladder))
    if strategy == "personal":
        return rungs
    if strategy in rungs:
        return rungs[rungs.index(strategy) :]
    return [strategy, *(rung for rung in rungs if rung != "personal")]
