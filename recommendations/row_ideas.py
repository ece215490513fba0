"""What the rows of a page are made of: ideas, each with its evidence and products to choose from.

An idea is a function of the page; `rows` asks them all and decides which become rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from engage.lib import clock
from engage.profiles.people import spell_time
from recommendations import due_again, purchases, rungs, shelf
from recommendations.interactions import PURCHASE, SILENT
from recommendations.persons import DAY_MS, Person, Who
from recommendations.rungs import Climb, Pick
from recommendations.shelf import Choice, Shelf

LEAST_ITEMS: Final = 3  # of a row, or as many as were asked for
BECAUSE_ROWS: Final = 3
CLOSE: Final = 0.4  # of the strength of the nearest neighbour
BECAUSE_LOOKED_AT: Final = 10  # newest products that such a row is tried for
TASTE: Final = 500  # products whose personal scores are known
HALF_LIFE_DAYS: Final = 7.0
CONTINUE_DAYS: Final = 30
ARRIVAL_DAYS: Final = 60  # before the newest arrival
PURCHASES: Final = 2_000  # events that are looked at for what is bought again
PURCHASE_DAYS: Final = 730
REFUND: Final = ("Order Refunded", "Order Cancelled")
REMOVALS: Final = frozenset({"Product Removed", "Product Removed from Wishlist"})
ACTS: Final[Mapping[str, str]] = {
    "Product Added": "it is in your basket",
    "Product Added to Wishlist": "it is on your wish list",
    "Checkout Started": "you were about to buy it",
}
OTHER_ACT: Final = "you looked at it"


@dataclass(frozen=True, slots=True)
class Idea:
    """A row that might be shown: more products than it will have."""

    kind: str
    title: str
    why: str
    evidence: Mapping[str, Any]
    picks: Sequence[Pick]
    ts_ms: int | None = None  # when the person last did what it rests on; None: nothing of theirs


@dataclass(eq=False)
class Page:
    """What ideas are made from: one person before one shelf."""

    who: Who
    person: Person
    here: Shelf
    choice: Choice
    catalog: str
    depth: int  # products per idea: enough when all rows above took the first ones
    n: int
    now: datetime
    now_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.now_ms = clock.to_millis(self.now)

    @cached_property
    def last(self) -> dict[int, tuple[str, int]]:
        """The newest event of each row, silent ones included, and its time in ms."""
        found: dict[int, tuple[str, int]] = {}
        for touch in self.who.touches:
            row = self.here.products.index.get(touch.item)
            if row is not None:
                found.setdefault(row, (touch.event, touch.ts_ms))
        return found

    @cached_property
    def touched_ms(self) -> dict[int, int]:
        """When each of the person's recent rows was touched last, in ms; newest first."""
        found: dict[int, int] = {}
        for touch in self.who.touches:
            row = self.here.products.index.get(touch.item)
            if row is not None and touch.event not in SILENT:
                found.setdefault(row, touch.ts_ms)
        return found

    @cached_property
    def taste(self) -> list[Pick]:
        """What fits the person best of all that may be shown, touched and bought things too."""
        return self.climb("personal", banned=set(), seen=set(), n=TASTE)

    @cached_property
    def score_of(self) -> dict[int, float]:
        return {pick.row: pick.score for pick in self.taste}

    @cached_property
    def unfinished(self) -> list[Pick]:
        """What was touched lately and neither bought nor taken back, the newest first."""
        since = self.now_ms - CONTINUE_DAYS * DAY_MS
        scored = [
            (row, fade(self.now_ms - ts_ms), ACTS.get(event, OTHER_ACT))
            for row, event in zip(self.person.recent, self.person.events, strict=True)
            if (ts_ms := self.touched_ms[row]) >= since
            and row not in self.person.banned
            and self.last[row][0] not in REMOVALS
        ]
        return self.pick_all("continue", scored, source="history")

    @cached_property
    def aside(self) -> set[int]:
        """What has a row of its own, so that lists for everybody do not take it away."""
        enough = len(self.unfinished) >= self.least
        return self.here.widen({pick.row for pick in self.unfinished}) if enough else set()

    @property
    def least(self) -> int:
        return min(LEAST_ITEMS, self.n)

    def climb(
        self,
        rung: str,
        *,
        banned: set[int] | None = None,
        seen: set[int] | None = None,
        seed: int | None = None,
        n: int = 0,
    ) -> list[Pick]:
        """One rung of `serve`, for a person who has nothing yet."""
        person = self.fresh(banned=banned, seen=seen)
        rungs.RUNGS[rung](self.ladder(rung, person, seed=seed, n=n or self.depth))
        return person.picks

    def walk(self, kind: str, order: shelf.Order, *, source: str, reason: str) -> list[Pick]:
        """The best of an order that the person may be shown."""
        person = self.fresh()
        rungs.fill_from_order(
            self.ladder(kind, person), person, order, source=source, reason=reason
        )
        return person.picks

    def pick_all(
        self, kind: str, scored: Sequence[tuple[int, float, str]], *, source: str
    ) -> list[Pick]:
        """Picks of rows with their scores and reasons, where they may be shown; no variant twice.

        What is banned is for the caller to know.
        """
        person = self.fresh(banned=set())
        ladder = self.ladder(kind, person)
        for row, score, reason in scored:
            if self.choice.rows[row] and row not in person.shown:
                ladder.add(person, row, score, source=source, reason=reason)
            if len(person.picks) == self.depth:
                break
        return person.picks

    def fresh(self, *, banned: set[int] | None = None, seen: set[int] | None = None) -> Person:
        known = self.person
        return Person(
            known.recent,
            known.events,
            known.banned | self.aside if banned is None else banned,
            known.seen if seen is None else seen,
            attributes=known.attributes,
        )

    def ladder(self, rung: str, person: Person, *, seed: int | None = None, n: int = 0) -> Climb:
        return Climb(
            rung=rung,
            here=self.here,
            choice=self.choice,
            people=[person],
            n=n or self.depth,
            repeats=True,
            seed=seed,
            catalog=self.catalog,
        )


def fade(age_ms: int) -> float:
    """1 for what happens now, a half after a week."""
    return float(0.5 ** (max(age_ms, 0) / DAY_MS / HALF_LIFE_DAYS))


def for_you(page: Page) -> Iterator[Idea]:
    hidden = page.person.banned | page.person.seen
    picks = [pick for pick in page.taste if pick.row not in hidden]
    if picks:
        newest = page.person.recent[:3]
        names = ", ".join(page.here.name(row) for row in newest)
        yield Idea(
            "for_you",
            "For you",
            f"what fits your last steps: {names}",
            {"items": [page.here.products.ids[row] for row in newest]},
            picks,
            page.touched_ms[newest[0]],
        )


def because(page: Page) -> Iterator[Idea]:
    """Neighbours of one product that was touched lately, for the newest few that have enough."""
    hidden = page.person.banned | page.person.seen
    found, met = 0, set[int]()
    for row, event in zip(
        page.person.recent[:BECAUSE_LOOKED_AT], page.person.events, strict=False
    ):
        if row in met:  # a variant of one before
            continue
        met |= page.here.widen({row})
        picks = close(page.climb("similar", banned=set(), seed=row))
        picks = [pick for pick in picks if pick.row not in hidden]
        if len(picks) < page.least:
            continue
        words = rungs.WORDS.get(event, rungs.OTHER_WORDS).format(page.here.name(row))
        ts_ms = page.touched_ms[row]
        evidence = {
            "item": page.here.products.ids[row],
            "name": page.here.name(row),
            "event": event,
            "ts": spell(ts_ms),
        }
        picks = [pick._replace(reason=words) for pick in picks]
        yield Idea("because", f"{words[0].upper()}{words[1:]}", words, evidence, picks, ts_ms)
        found += 1
        if found == BECAUSE_ROWS:
            break


def close(picks: Sequence[Pick]) -> list[Pick]:
    """Those that are near enough: a row about a product must be about it to its end."""
    best: dict[str, float] = {}  # per source, as their scores do not compare
    for pick in picks:
        best[pick.source] = max(pick.score, best.get(pick.source, 0.0))
    return [pick for pick in picks if pick.score >= CLOSE * best[pick.source]]


def go_on(page: Page) -> Iterator[Idea]:
    picks = page.unfinished
    if picks:
        ts_ms = page.touched_ms[picks[0].row]
        yield Idea(
            "continue",
            "Continue where you left off",
            f"what you looked at in the last {CONTINUE_DAYS} days and did not buy",
            {"days": CONTINUE_DAYS, "ts": spell(ts_ms)},
            picks,
            ts_ms,
        )


def buy_again(page: Page) -> Iterator[Idea]:
    """The person's own purchases that are due again by their own rhythm."""
    due = list_due(page)
    index = page.here.products.index
    by_row = {index[one.item]: one for one in due if one.item in index}
    scored = [
        (row, one.score, f"you buy it every {one.gap_days:.0f} days")
        for row, one in by_row.items()
    ]
    picks = page.pick_all("buy_again", scored, source="history")
    if picks:
        newest = max(min(by_row[pick.row].due_ms, page.now_ms) for pick in picks[: page.n])
        yield Idea(
            "buy_again",
            "Buy again",
            "what you buy again and again, and is due",
            {
                "items": [
                    {
                        "id": pick.item,
                        "every_days": by_row[pick.row].gap_days,
                        "last": spell(by_row[pick.row].last_ms),
                    }
                    for pick in picks[: page.n]
                ]
            },
            picks[: page.n],
            newest,
        )


def list_due(page: Page) -> list[due_again.Due]:
    if page.who.profile_id is None:
        return []
    events = dict.fromkeys((PURCHASE, *REFUND), PURCHASE_DAYS)
    stored = purchases.list_times(page.who.profile_id, events=events, most=PURCHASES, now=page.now)
    # What is still in the queue counts, or the purchase of a moment ago were due.
    hinted = [(touch.item, touch.event, touch.ts_ms) for touch in page.who.touches]
    every = [(item, event, ts_ms) for item, event, ts_ms in (*stored, *hinted) if event in events]
    return due_again.list_due(
        [(item, ts_ms) for item, event, ts_ms in every if event == PURCHASE],
        [(item, ts_ms) for item, event, ts_ms in every if event != PURCHASE],
        now_ms=page.now_ms,
    )


def best_sellers_in_category(page: Page) -> Iterator[Idea]:
    favourite = rungs.find_favourite(page.person, page.here)
    if favourite is None:
        return
    category = page.here.categories[favourite]
    words = "best seller" if sells(page.here) else "popular"
    order = page.choice.order_in(favourite, name="sales")
    kind = "best_sellers_in_category"
    picks = page.walk(kind, order, source="sales", reason=f"{words} in {category}")
    ts_ms = next(
        ts_ms
        for row, ts_ms in page.touched_ms.items()
        if page.here.category_of_row[row] == favourite
    )
    yield Idea(
        kind,
        f"{'Best sellers' if sells(page.here) else 'Popular'} in {category}",
        f"{category} is what you looked at most lately",
        {"category": category, "ts": spell(ts_ms)},
        picks,
        ts_ms,
    )


def people_alike(page: Page) -> Iterator[Idea]:
    picks = page.climb("people_alike")
    why = "what people like you turn to"  # not by what: see `serve.fill_people_alike`
    yield Idea("people_alike", "Popular with people like you", why, {}, picks)


def trending(page: Page) -> Iterator[Idea]:
    why = "what everybody turns to this fortnight"
    picks = page.climb("trending")
    yield Idea("trending", "Popular this fortnight", why, {"days": 14}, picks)


def best_sellers(page: Page) -> Iterator[Idea]:
    picks = page.climb("best_sellers")
    if sells(page.here):
        yield Idea("best_sellers", "Best sellers", "what sells best", {}, picks)
    else:
        yield Idea("best_sellers", "Favourites", "what is used most", {}, picks)


def new_arrivals(page: Page) -> Iterator[Idea]:
    rows, came_ms = page.here.arrivals
    came = came_ms <= page.now_ms  # some are announced for later
    rows, came_ms = rows[came], came_ms[came]
    if not rows.size:
        return
    age_ms = came_ms[0] - came_ms  # before the newest arrival, not before today: as all trends
    shown = page.choice.rows[rows] & (age_ms <= ARRIVAL_DAYS * DAY_MS)
    order = (rows[shown], 0.5 ** (age_ms[shown] / DAY_MS / HALF_LIFE_DAYS))
    picks = page.walk("new_arrivals", order, source="arrivals", reason="new here")
    newest = {"newest": spell(int(came_ms[0])), "days": ARRIVAL_DAYS}
    yield Idea("new_arrivals", "New arrivals", "what came last", newest, picks)


def sells(here: Shelf) -> bool:
    """A site that sells nothing has favourites, not best sellers."""
    return here.model is None or bool(here.model.facts.get("has_sales", True))


def spell(ts_ms: int) -> str:
    return spell_time(clock.from_millis(ts_ms))


IDEAS: Final[Sequence[Callable[[Page], Iterator[Idea]]]] = (
    for_you,
    because,
    go_on,
    buy_again,
    best_sellers_in_category,
    people_alike,
    trending,
    best_sellers,
    new_arrivals,
)
