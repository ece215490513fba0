"""A ranking laid over the products of a shelf: which candidates of a rung become its picks.

Rungs keep their order; inside one, the candidates are chosen anew. Where a ranker is live, what it
takes for likely to be clicked is the relevance of the first candidates. With no ranking asked for
and no ranker live, nothing here is called.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations import features
from recommendations.algorithms.correlation import NOTHING
from recommendations.algorithms.ranking import Ranked
from recommendations.algorithms.reranking import Cap, Int32s, choose
from recommendations.algorithms.trees import probabilities
from recommendations.persons import Person
from recommendations.policy import Ranking
from recommendations.rankers import Live
from recommendations.shelf import Order, Shelf, walk

Float64s = NDArray[np.float64]
DEPTH: Final = 200  # candidates of a person and rung
RANKED: Final = 50  # of them that a ranker orders, the first
AT_ONCE: Final = 2_000  # people: so much memory, whatever the batch
ALIKE_BY: Final = ("category", "brand")
KEPT: Final = 16  # rankings of a shelf
# Where a cap holds, candidates are sought as deep as this in a popular list, a few of each kind.
CAPPED_DEPTH: Final = 20_000
SPARE: Final = 10  # times the cap


def lay(ranking: Ranking, here: Shelf, ranker: Live | None = None) -> "Reranker":
    """The ranking in the numbers of this shelf; few are kept."""
    found: Reranker | None = here.rerankers.get((ranking, ranker))
    if found is None:
        found = here.rerankers[ranking, ranker] = Reranker(ranking, here, ranker)
        while len(here.rerankers) > KEPT:
            here.rerankers.popitem(last=False)
    return found


class Reranker:
    """Never changed after it was made."""

    def __init__(self, ranking: Ranking, here: Shelf, ranker: Live | None = None) -> None:
        self.here = here
        self.ranker = ranker
        self.depth = RANKED if ranker is not None and ranking == Ranking() else DEPTH
        self.variety = ranking.variety
        types = here.products.types
        alike = [name for name in ALIKE_BY if types.get(name) == "text"]
        self.kinds = [here.kind_of_row(name) for name in alike] if ranking.variety else []
        self.caps = [
            Cap(here.kind_of_row(name), most)
            for name, most in ranking.caps
            if types.get(name) == "text"  # another is named when the campaign is launched
        ]
        self.caps.append(Cap(here.group_of_row, 1))
        self.factors: NDArray[np.float64] | None = None
        if ranking.boosts:
            self.factors = np.ones(len(here.products))
            for boost in ranking.boosts:
                self.factors[boost.filter.mask(here.products)] *= boost.factor

    def reorder(
        self, ranked: Ranked, people: Sequence[Person], *, n: int, origin: "Origin"
    ) -> Ranked:
        """The lists of the kernel, chosen anew; still padded with -1."""
        known = np.append(self.here.row_of, np.int32(NOTHING))  # the last answers for -1
        columns = self.choose(people, known[ranked.items], ranked.scores, n=n, origin=origin)
        taken = [np.take_along_axis(array, columns, axis=1) for array in ranked]
        return Ranked._make(np.where(columns < 0, NOTHING, array) for array in taken)

    def reorder_orders(
        self, people: Sequence[Person], orders: Sequence[Order], *, n: int, origin: "Origin"
    ) -> list[Order]:
        """Each person's part of a popular list, chosen anew."""
        deep = max(self.depth, n)
        thin = {id(order): self.thin(order) for order in orders}
        found: list[Order] = []
        for start in range(0, len(people), AT_ONCE):
            some = people[start : start + AT_ONCE]
            own = orders[start : start + AT_ONCE]
            rows = np.full((len(some), deep), NOTHING, np.int32)
            scores = np.zeros((len(some), deep))
            for place, (person, order) in enumerate(zip(some, own, strict=True)):
                for depth, (row, score) in enumerate(open_to(person, thin[id(order)], deep)):
                    rows[place, depth], scores[place, depth] = row, score
            for place, columns in enumerate(self.choose(some, rows, scores, n=n, origin=origin)):
                columns = columns[columns >= 0]
                found.append((rows[place, columns], scores[place, columns]))
        return found

    def thin(self, order: Order) -> Order:
        """Without what a cap makes useless, so that rarer kinds are within reach."""
        rows, scores = order
        if len(self.caps) == 1:  # variants alone: they are few
            return order
        rows = rows[:CAPPED_DEPTH]
        kept = np.ones(rows.size, bool)
        for cap in self.caps[:-1]:
            kind = cap.kind[rows]
            kept &= (kind == NOTHING) | (count_before(kind) < SPARE * cap.most)
        return rows[kept], scores[: rows.size][kept]

    def keep_caps(self, rows: Iterable[int], beside: Collection[int]) -> Iterator[int]:
        """The rows that may stand beside those without breaking a cap."""
        for row in rows:
            if all(
                cap.kind[row] == NOTHING
                or sum(cap.kind[other] == cap.kind[row] for other in beside) < cap.most
                for cap in self.caps
            ):
                yield row

    def choose(
        self,
        people: Sequence[Person],
        rows: Int32s,
        scores: NDArray[np.floating],
        *,
        n: int,
        origin: "Origin",
    ) -> Int32s:
        """Columns of the candidates that each person gets, up to `n` with what they have."""
        found = np.full((len(people), n), NOTHING, np.int32)
        if not len(self.here.products):
            return found
        for start in range(0, len(people), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            part = self.choose_some(
                people[some], rows[some], scores[some], n=n, origin=origin.part(some)
            )
            found[some, : part.shape[1]] = part
        return found

    def choose_some(
        self,
        people: Sequence[Person],
        rows: Int32s,
        scores: NDArray[np.floating],
        *,
        n: int,
        origin: "Origin",
    ) -> Int32s:
        share = of_best(scores)
        relevance = share
        if self.ranker is not None and origin.rung not in features.FIXED:
            relevance = foresee(self.ranker, self.here, people, rows, share, origin)
        for person, own, values in zip(people, rows, relevance, strict=True):
            if person.relevance is not None:
                remember(person.relevance, own, values)
        if self.factors is not None:
            relevance = relevance * np.where(rows == NOTHING, 1, self.factors[rows])
        if any(person.damped for person in people):
            relevance = relevance.copy()
        for person, own, values in zip(people, rows, relevance, strict=True):
            for row, factor in person.damped.items():
                values[own == row] *= factor
        chosen = choose(
            rows,
            relevance,
            wanted=np.array([n - len(person.picks) for person in people], np.int64),
            chosen=pad([[pick.row for pick in person.picks] for person in people]),
            variety=self.variety,
            kinds=self.kinds,
            caps=self.caps,
        )
        for person, own, values, columns in zip(people, rows, share, chosen, strict=True):
            columns = columns[columns >= 0]
            person.share.update(zip(own[columns].tolist(), values[columns].tolist(), strict=True))
        return chosen


class Origin(NamedTuple):
    """Where candidates come from."""

    rung: str
    sources: Float64s  # a place in `features.SOURCES` of each candidate, or one for all

    def part(self, some: slice) -> "Origin":
        return self if len(self.sources) == 1 else self._replace(sources=self.sources[some])


def foresee(
    ranker: Live,
    here: Shelf,
    people: Sequence[Person],
    rows: Int32s,
    share: Float64s,
    origin: Origin,
) -> Float64s:
    """How likely the first candidates are clicked, as a share of the likeliest.

    The others come behind them, in the order they had.
    """
    depth = min(RANKED, rows.shape[1])
    table = features.tabulate(
        features.of(here).describe(people, rows[:, :depth], share[:, :depth]),
        rung=features.code(features.RUNGS, origin.rung),
        source=origin.sources[:, :depth],
    )
    likely = probabilities(ranker.trees, table.reshape(-1, table.shape[-1]))
    likely = np.where(rows[:, :depth] == NOTHING, 0, likely.reshape(-1, depth))
    relevance = of_best(likely)
    if rows.shape[1] == depth:
        return relevance
    least, last = relevance.min(axis=1, keepdims=True), share[:, depth - 1 : depth]
    rest = least * share[:, depth:] / np.where(last > 0, last, 1)
    return np.concatenate([relevance, rest], axis=1)


def of_best(scores: NDArray[np.floating]) -> Float64s:
    """As a share of the best of each row."""
    best = scores.max(axis=1, initial=0, keepdims=True)
    found: Float64s = scores / np.where(best > 0, best, 1).astype(np.float64)
    return found


def open_to(person: Person, order: Order, depth: int) -> list[tuple[int, float]]:
    """The first of a popular list that the person may still be shown."""
    found = []
    for row, score in walk(order):
        if row not in person.banned and row not in person.shown:
            found.append((row, score))
            if len(found) == depth:
                break
    return found


def remember(relevance: dict[int, float], rows: Int32s, values: NDArray[np.float64]) -> None:
    """What each candidate was worth in the first rung that had it."""
    for row, value in zip(rows.tolist(), values.tolist(), strict=True):
        relevance.setdefault(row, value)


def count_before(kind: Int32s) -> NDArray[np.int64]:
    """How many of the same kind stand before each place."""
    order = np.argsort(kind, kind="stable")
    first = np.searchsorted(kind[order], kind[order])
    before = np.empty(kind.size, np.int64)
    before[order] = np.arange(kind.size) - first
    return before


def pad(lists: Sequence[Sequence[int]]) -> Int32s:
    found = np.full((len(lists), max(map(len, lists), default=0)), NOTHING, np.int32)
    for place, rows in enumerate(lists):
        found[place, : len(rows)] = rows
    return found
