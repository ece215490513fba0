"""How a list is to be ranked beyond relevance: what a marketer may ask for, read and checked.

{"variety": 0.3, "caps": {"category": 2},
 "boosts": [{"filter": {"column": "brand", "op": "=", "value": "Own"}, "factor": 1.5}],
 "pins": [{"place": 1, "item": "sku-1"}],
 "fatigue": {"damp_after": 3, "block_after": 6, "rest_days": 14}}
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from catalog import filters
from catalog.errors import InvalidFilter, Problem
from catalog.filter_nodes import is_number
from catalog.filters import Filter
from recommendations.errors import InvalidRanking

MOST_CAPS: Final = 5
MOST_BOOSTS: Final = 20
MOST_PINS: Final = 20
LAST_PLACE: Final = 100
FACTORS: Final = (0.01, 100.0)
MOST_SHOWINGS: Final = 100
MOST_REST_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Boost:
    """Relevance times the factor where the filter holds; below 1 it lowers."""

    filter: Filter
    factor: float


@dataclass(frozen=True, slots=True)
class Fatigue:
    """When showing a product to somebody who does not click wears out; 0 is never."""

    damp_after: int = 0  # showings
    block_after: int = 0  # showings
    rest_days: int = 14  # not shown for so long, it is as new


@dataclass(frozen=True, slots=True)
class Ranking:
    """Nothing asked for is the plain order by relevance."""

    variety: float = 0.0
    caps: tuple[tuple[str, int], ...] = ()  # column, at most
    boosts: tuple[Boost, ...] = ()
    pins: tuple[tuple[int, str], ...] = ()  # place from 1, product
    fatigue: Fatigue | None = None

    def without_pins_and_boosts(self) -> "Ranking":
        return replace(self, pins=(), boosts=())


def parse(data: object) -> Ranking | None:
    """Read a ranking; None where nothing is asked for, so that it costs nothing.

    Raises
    ------
    InvalidRanking
        With every bad part named.
    """
    reader = Reader()
    found = reader.ranking(data)
    if reader.problems:
        raise InvalidRanking(reader.problems)
    return None if found == Ranking() else found


def list_misfits(
    ranking: Ranking, *, types: Mapping[str, str], known: Container[str]
) -> list[Problem]:
    """What it asks of a catalog that lacks it: `types` are its columns, `known` its products."""
    problems = [
        Problem(f"boosts[{number}].{misfit.path}", misfit.message)
        for number, boost in enumerate(ranking.boosts)
        for misfit in boost.filter.list_misfits(types)
    ]
    problems += [
        Problem("caps", f"the catalog has no column of texts “{column}”")
        for column, _ in ranking.caps
        if types.get(column) != "text"
    ]
    problems += [
        Problem("pins", f"the catalog has no product “{item}”")
        for _, item in ranking.pins
        if item not in known
    ]
    return problems


class Reader:
    """Reads the parts and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def bad(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def ranking(self, data: object) -> Ranking:
        parts = self.members(data, "", Ranking.__dataclass_fields__)
        return Ranking(
            variety=self.number(parts.get("variety", 0), "variety", 0, 1),
            caps=tuple(self.caps(parts.get("caps", {}))),
            boosts=tuple(self.boosts(parts.get("boosts", []))),
            pins=tuple(sorted(self.pins(parts.get("pins", [])))),
            fatigue=self.fatigue(parts.get("fatigue")),
        )

    def members(self, data: object, path: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
        if not isinstance(data, Mapping):
            self.bad(path, f"expected an object with {', '.join(known)}")
            return {}
        for name in data:
            if name not in known:
                self.bad(f"{path}.{str(name)[:60]}".lstrip("."), "is not known here")
        return data

    def number(self, value: object, path: str, least: float, most: float) -> float:
        if isinstance(value, int | float) and is_number(value) and least <= value <= most:
            return float(value)
        self.bad(path, f"expected a number from {least:g} to {most:g}")
        return least

    def whole(self, value: object, path: str, least: int, most: int) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.bad(path, f"expected a whole number from {least} to {most}")
        return least

    def listed(
        self, value: object, path: str, most: int, read: Callable[[Any, str], Any]
    ) -> Iterator[Any]:
        if not isinstance(value, list | tuple) or len(value) > most:
            self.bad(path, f"expected a list of at most {most}")
            return
        for number, one in enumerate(value):
            yield read(one, f"{path}[{number}]")

    def caps(self, value: object) -> Iterator[tuple[str, int]]:
        if not isinstance(value, Mapping) or len(value) > MOST_CAPS:
            self.bad("caps", f'expected at most {MOST_CAPS} columns, such as {{"category": 2}}')
            return
        for column, most in sorted(value.items(), key=str):
            if not isinstance(column, str) or not column:
                self.bad("caps", "expected names of columns")
                continue
            yield column, self.whole(most, f"caps.{column[:60]}", 1, LAST_PLACE)

    def boosts(self, value: object) -> Iterator[Boost]:
        yield from self.listed(value, "boosts", MOST_BOOSTS, self.boost)

    def boost(self, value: object, path: str) -> Boost:
        parts = self.members(value, path, Boost.__dataclass_fields__)
        factor = self.number(parts.get("factor"), f"{path}.factor", *FACTORS)
        try:
            rule = filters.parse(parts.get("filter"))
        except InvalidFilter as exc:
            for problem in exc.problems:
                self.bad(f"{path}.{problem.path}", problem.message)
            rule = filters.parse({})
        if rule.references:
            self.bad(f"{path}.filter", "must hold for everybody: it may not refer to a context")
        return Boost(rule, factor)

    def pins(self, value: object) -> Iterator[tuple[int, str]]:
        taken: set[object] = set()
        for place, item in self.listed(value, "pins", MOST_PINS, self.pin):
            for one in (place, item):
                if one in taken:
                    self.bad("pins", f"“{str(one)[:60]}” stands there twice")
                taken.add(one)
            yield place, item

    def pin(self, value: object, path: str) -> tuple[int, str]:
        parts = self.members(value, path, {"place": int, "item": str})
        item = parts.get("item")
        if not isinstance(item, str) or not 0 < len(item) <= 255:
            self.bad(f"{path}.item", "expected the id of a product")
            item = ""
        return self.whole(parts.get("place"), f"{path}.place", 1, LAST_PLACE), item

    def fatigue(self, value: object) -> Fatigue | None:
        if value is None:
            return None
        parts = self.members(value, "fatigue", Fatigue.__dataclass_fields__)
        damp = self.whole(parts.get("damp_after", 0), "fatigue.damp_after", 0, MOST_SHOWINGS)
        block = self.whole(parts.get("block_after", 0), "fatigue.block_after", 0, MOST_SHOWINGS)
        rest = self.whole(parts.get("rest_days", 14), "fatigue.rest_days", 1, MOST_REST_DAYS)
        if damp and block and block <= damp:
            self.bad(
                "fatigue.block_after", "must come later than showing it less, or be 0 for never"
            )
        return Fatigue(damp, block, rest) if damp or block else None
