"""What pins and boosts cost: the relevance of the list with them, beside the one without."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recommendations import serve
from recommendations.policy import Ranking
from recommendations.serve import Filled, Who


@dataclass(frozen=True, slots=True)
class Cost:
    """Relevance of whole lists, summed over the people who get something either way.

    A product's relevance is its score as a share of the best score of its rung for that person,
    in the list without pins and boosts. What is not among the person's candidates there has none.
    """

    with_them: float
    without: float
    people: int

    @property
    def share(self) -> float:
        """The share of relevance given up: 0 nothing, 1 all of it."""
        return 1 - self.with_them / self.without if self.without else 0.0


def weigh(who: Sequence[Who], *, ranking: Ranking, **options: Any) -> Cost | None:
    """Recommend with pins and boosts and without; None where there is neither to weigh.

    `options` as of `serve.recommend`.
    """
    if not ranking.pins and not ranking.boosts:
        return None
    plain = serve.recommend(who, ranking=ranking.without_pins_and_boosts(), weigh=True, **options)
    wished = serve.recommend(who, ranking=ranking, **options)
    pairs = [(add_up(one, by), add_up(by, by)) for one, by in zip(wished, plain, strict=True)]
    served = [(own, best) for own, best in pairs if best]
    return Cost(sum(own for own, _ in served), sum(best for _, best in served), len(served))


def add_up(filled: Filled, by: Filled) -> float:
    """The relevance of a list, as the other one's candidates say it."""
    relevance = by.relevance or {}
    return sum(relevance.get(pick.row, 0.0) for pick in filled.picks)
