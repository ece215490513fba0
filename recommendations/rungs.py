"""The steps of the ladder: each fills what the ones before left open, for all people at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations import (
    features,
    hand_picked,
    own_items,
    people_alike,
    shelf,
)
from recommendations.algorithms.ranking import FADING, HISTORY, Ranked, ask, rank
from recommendations.artifact import Artifact
from recommendations.exploring import Chance
from recommendations.interactions import PURCHASE
from recommendations.joining import OWN, VISITS, join
from recommendations.persons import Person
from recommendations.reranking import Origin, Reranker
from recommendations.shelf import Choice, Shelf
from recommendations.visiting import offer_visits

FAVOURITE_FADING: Final = 0.8  # of a touch's say in the favourite category, per step back
WORDS: Final[Mapping[str, str]] = {
    "Product Viewed": "because you viewed {}",
    "Product Clicked": "because you viewed {}",
    "Product Added": "because you added {} to your basket",
    "Product Added to Wishlist": "because you put {} on your wish list",
    PURCHASE: "because you bought {}",
}
OTHER_WORDS: Final = "because of your interest in {}"


class Pick(NamedTuple):
    item: str
    row: int  # place in the snapshot it was picked from; `list_cards` has its card
    score: float  # comparable inside one rung of one answer
    rank: int  # from 1
    rung: str
    source: str  # what the score comes from: a reading (next, similar, ridge, ease, smooth),
    # content, again, visits, people_alike, trend, sales or hand_picked
    reason: str
    chance: Chance | None = None  # where it was left to chance
    features: list[int | None] | None = None  # what was known of it, where it is to be logged


class Climb(NamedTuple):
    """What a rung works on: the people who still need products."""

    rung: str
    here: Shelf
    choice: Choice
    people: list[Person]
    n: int
    repeats: bool
    seed: int | None
    catalog: str
    reranker: Reranker | None = None

    def add(self, person: Person, row: int, score: float, *, source: str, reason: str) -> None:
        place = len(person.picks) + 1
        item = self.here.products.ids[row]
        person.picks.append(Pick(item, row, score, place, self.rung, source, reason))
        person.shown |= self.here.widen({row})


def fill_personal(this: Climb) -> None:
    """With the memory that the build chose for this shop."""
    model = this.here.model
    chosen = model.facts.get("parameters", {}) if model else {}
    fill_from_neighbours(
        this,
        "personal",
        depth=chosen.get("history", HISTORY),
        fading=np.float32(chosen.get("fading", FADING)),
    )


def fill_similar(this: Climb) -> None:
    """What was met with the product, then what is described like it: a newcomer has only that."""
    fill_from_neighbours(this, "similar", depth=1)
    fill_alike(this)


def fill_next(this: Climb) -> None:
    fill_from_neighbours(this, "next", depth=1)


def fill_from_neighbours(
    this: Climb, reading: str, *, depth: int, fading: np.float32 = FADING
) -> None:
    """Rank the neighbours of recent products, for all people in one call of the kernel."""
    here = this.here
    if here.model is None:
        return
    numbers = here.numbers
    # Only products that the model knows; each with its place among the recent ones.
    known = [
        [(numbers[row], place) for place, row in enumerate(rows) if numbers[row] >= 0][:depth]
        for rows in ([this.seed] if this.seed is not None else p.recent for p in this.people)
    ]
    asked = [(person, pairs) for person, pairs in zip(this.people, known, strict=True) if pairs]
    recent = [[number for number, _ in pairs] for _, pairs in asked]
    ranked = rank(
        *here.model.reading(reading),
        ask(recent, [block(person, this) for person, _ in asked]),
        groups=this.choice.groups,
        n=this.n if this.reranker is None else max(this.reranker.depth, this.n),
        fading=fading,
        newer=here.model.newer(reading),
    )
    if reading == "personal" and this.seed is None:
        ranked = join_others(here.model, this, ranked, asked)
    if this.reranker is not None:
        origin = Origin(this.rung, name_sources(this, reading, ranked, recent))
        ranked = this.reranker.reorder(
            ranked, [person for person, _ in asked], n=this.n, origin=origin
        )
    lists = zip(*(array.tolist() for array in ranked), strict=True)
    for (person, pairs), picks in zip(asked, lists, strict=True):
        for number, score, because, place in zip(*picks, strict=True):
            if number < 0 or len(person.picks) == this.n:
                break
            row = int(here.row_of[number])
            if row in person.shown:  # a variant of it, joined in, may be picked by now
                continue
            if because < 0:
                add_other(this, person, row, score, code=because)
                continue
            said_by, recent = pairs[because]
            source = here.model.source(said_by, place) if reading == "personal" else reading
            reason = explain(this, person, recent)
            this.add(person, row, score, source=source, reason=reason)


Known = list[tuple[int, int]]  # of a person's recent products: number, place among all recent ones


def join_others(
    model: Artifact, this: Climb, ranked: Ranked, asked: Sequence[tuple[Person, Known]]
) -> Ranked:
    """With what people had before, and what visits like theirs say, as the build weighs them."""
    groups, chosen = this.choice.groups, model.facts["parameters"]
    again = chosen.get("again", 0.0) if this.repeats else 0.0
    if again:
        own = [own_items.offer_own(person, this.here, groups) for person, _ in asked]
        ranked = join(ranked, own, weight=again, code=OWN)
    if chosen.get("visits", 0.0) and len(model.visits):
        visits = [
            offer_visits(model.visits, [n for n, _ in pairs], block(person, this), groups)
            for person, pairs in asked
        ]
        ranked = join(ranked, visits, weight=chosen["visits"], code=VISITS)
    return ranked


def add_other(this: Climb, person: Person, row: int, score: float, *, code: int) -> None:
    if code == OWN:
        why = own_items.explain(person, row)
        this.add(person, row, score, source="again", reason=why)
    else:
        why = "people with visits like yours went on to it"
        this.add(person, row, score, source="visits", reason=why)


def name_sources(
    this: Climb, reading: str, ranked: Ranked, recent: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """The place in `features.SOURCES` of what each candidate is due to, for a ranker."""
    model = this.here.model
    if model is None or this.reranker is None or this.reranker.ranker is None:
        return np.zeros((1, 1))  # nobody asks
    if reading != "personal":
        return np.full((1, 1), features.code(features.SOURCES, reading))
    codes = np.array([features.code(features.SOURCES, name) for name in model.facts["sources"]])
    other = ranked.because < 0  # joined in, or no candidate
    said_by = np.zeros((len(recent), max(map(len, recent), default=1)), np.int32)
    for row, numbers in zip(said_by, recent, strict=True):
        row[: len(numbers)] = numbers
    speaking = np.take_along_axis(said_by, np.where(other, 0, ranked.because), axis=1)
    found: NDArray[np.float64] = codes[
        model.source_places(speaking, np.where(other, 0, ranked.places))
    ]
    found[ranked.because == OWN] = features.code(features.SOURCES, "again")
    found[ranked.because == VISITS] = features.code(features.SOURCES, "visits")
    return found


def fill_alike(this: Climb) -> None:
    """By description: of the seed, or of what each person touched last."""
    here = this.here
    short = [person for person in this.people if len(person.picks) < this.n]
    if here.descriptions is None or not short:
        return
    seeds = [this.seed if this.seed is not None else next(iter(p.recent), None) for p in short]
    ids = here.products.ids
    here.descriptions.meet({ids[row]: here.numbers[row] for row in seeds if row is not None})
    offers = [
        (person, this.choice.alike_to(row), explain(this, person, 0))
        for person, row in zip(short, seeds, strict=True)
        if row is not None
    ]
    fill_from_orders(this, offers, source="content")


def block(person: Person, this: Climb) -> list[int]:
    """The numbers that the kernel must not rank for this person."""
    rows = person.banned | person.shown
    if not this.repeats and this.seed is None:
        rows |= person.seen
    numbers = this.here.numbers
    return [numbers[row] for row in rows if numbers[row] >= 0]


def explain(this: Climb, person: Person, place: int) -> str:
    if this.seed is not None:
        return f"goes with {this.here.name(this.seed)}"
    words = WORDS.get(person.events[place], OTHER_WORDS)
    return words.format(this.here.name(person.recent[place]))


def fill_trending_in_category(this: Climb) -> None:
    offers = []
    for person in this.people:
        favourite = find_favourite(person, this.here)
        if favourite is not None:
            reason = f"popular in {this.here.categories[favourite]} this fortnight"
            offers.append((person, this.choice.trending_in(favourite), reason))
    fill_from_orders(this, offers, source="trend")


def find_favourite(person: Person, here: Shelf) -> int | None:
    """The category the recent touches speak for most; of equals the one touched last."""
    say: dict[int, float] = {}
    for place, row in enumerate(person.recent):
        category = int(here.category_of_row[row])
        if category >= 0:
            say[category] = say.get(category, 0.0) + FAVOURITE_FADING**place
    return max(say, key=say.__getitem__) if say else None


def fill_people_alike(this: Climb) -> None:
    """For those who did nearly nothing yet: later what they do says more than what they are."""
    offers = []
    for person in this.people:
        if len(person.recent) < people_alike.COLD:
            order = people_alike.find_order(this.choice, person.attributes)
            if order is not None:
                # Not which attribute: nobody wants to read what we hold them for.
                offers.append((person, order, "popular with people like you"))
    fill_from_orders(this, offers, source="people_alike")


def fill_trending(this: Climb) -> None:
    order = this.choice.orders["trend"]
    offers = [(person, order, "popular this fortnight") for person in this.people]
    fill_from_orders(this, offers, source="trend")


def fill_best_sellers(this: Climb) -> None:
    model = this.here.model
    # A site that sells nothing has favourites, not best sellers.
    reason = "best seller" if model is None or model.facts.get("has_sales", True) else "popular"
    order = this.choice.orders["sales"]
    fill_from_orders(this, [(person, order, reason) for person in this.people], source="sales")


def fill_hand_picked(this: Climb) -> None:
    index = this.here.products.index
    rows = [index[item] for item in hand_picked.items_of(this.catalog) if item in index]
    chosen = np.array([row for row in rows if this.choice.rows[row]], np.int32)
    order = (chosen, 1.0 / np.arange(1, chosen.size + 1))
    offers = [(person, order, "picked by hand") for person in this.people]
    fill_from_orders(this, offers, source="hand_picked")


def fill_from_orders(
    this: Climb, offers: Sequence[tuple[Person, shelf.Order, str]], *, source: str
) -> None:
    """From a popular list each, with the reason that goes with it."""
    orders = [order for _, order, _ in offers]
    if this.reranker is not None:
        people = [person for person, _, _ in offers]
        sources = np.full((1, 1), features.code(features.SOURCES, source))
        origin = Origin(this.rung, sources)
        orders = this.reranker.reorder_orders(people, orders, n=this.n, origin=origin)
    for (person, _, reason), order in zip(offers, orders, strict=True):
        fill_from_order(this, person, order, source=source, reason=reason)


def fill_from_order(
    this: Climb, person: Person, order: shelf.Order, *, source: str, reason: str
) -> None:
    for row, score in shelf.walk(order):
        if len(person.picks) == this.n:
            break
        if row not in person.banned and row not in person.shown:
            this.add(person, row, score, source=source, reason=reason)


RUNGS: Final[Mapping[str, Callable[[Climb], None]]] = {
    "personal": fill_personal,
    "similar_to_last": fill_similar,
    "trending_in_category": fill_trending_in_category,
    "people_alike": fill_people_alike,
    "trending": fill_trending,
    "best_sellers": fill_best_sellers,
    "hand_picked": fill_hand_picked,
    "similar": fill_similar,
    "next": fill_next,
}
