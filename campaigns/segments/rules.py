"""The language of segments: JSON in, a typed tree out, every bad node named at once.

    {"all": [rule, …]}   {"any": [rule, …]}   {"not": rule}
    {"attribute": "country", "op": "=", "value": "DE"}
    {"did": "Product Viewed", "at_least": 3, "within_days": 14,
     "item": "sku-1", "where": [{"property": "price", "op": ">", "value": 20}]}
    {"did_not": "Order Completed", "within_days": 30}

`{"all": []}` and `{}` are everybody, `{"any": []}` is nobody. `query.py` and `match.py` give these
trees their meaning and are tested to agree.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from campaigns.errors import InvalidRule, Problem

MAX_DEPTH = 10
MAX_NODES = 200
MAX_TEXT = 1_000
MAX_CHOICES = 1_000
MAX_DAYS = 36_500
MAX_TIMES = 10_000

NUMBER_OPS = ("<", "<=", ">", ">=")
TEXT_OPS = ("starts with",)
TIME_OPS = ("before", "after")
BARE_OPS = ("is set", "is not set")
OPS = ("=", "!=", *NUMBER_OPS, "in", "contains", *TEXT_OPS, *BARE_OPS, *TIME_OPS)

# The times that `before` and `after` understand, the same in PostgreSQL (migration 0002).
TIME = re.compile(
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
    r"(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?"
)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: fixed, or so many days before the rule is asked."""

    at: datetime | None = None
    days_ago: float | None = None

    def resolve(self, now: datetime) -> datetime:
        if self.at is not None:
            return self.at
        return now - timedelta(days=self.days_ago or 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """An attribute of the profile, or inside `Did` a property of the event.

    A missing value equals nothing, so "!=" and "is not set" hold for it and nothing else does.
    Texts compare with their case; a number never equals a text.
    """

    name: str
    op: str
    value: Scalar | tuple[Scalar, ...] | Moment | None = None


@dataclass(frozen=True, slots=True)
class Did:
    """At least so many events of a name, in the last days or ever."""

    event: str
    at_least: int = 1
    within_days: float | None = None
    items: tuple[str, ...] = ()  # about one of these products
    where: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    rule: "Rule"


@dataclass(frozen=True, slots=True)
class AllOf:
    rules: tuple["Rule", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    rules: tuple["Rule", ...] = ()


Rule = Comparison | Did | Not | AllOf | AnyOf


def parse(data: object) -> Rule:
    """The tree of a rule. Raises `InvalidRule` with the path of every bad node."""
    reader = _Reader()
    rule = reader.rule(data, path="", depth=0)
    if reader.problems:
        raise InvalidRule(reader.problems)
    return rule


def parse_time(text: str) -> datetime | None:
    """The instant an ISO 8601 text names, UTC where it does not say; None for anything else."""
    if not TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def walk(rule: Rule) -> list[Comparison | Did]:
    """The leaves of a tree."""
    if isinstance(rule, Not):
        return walk(rule.rule)
    if isinstance(rule, AllOf | AnyOf):
        return [leaf for child in rule.rules for leaf in walk(child)]
    return [rule]


@dataclass(slots=True)
class _Reader:
    """Reads nodes and collects what is wrong with them."""

    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def bad(self, path: str, message: str) -> None:
        self.problems.append(Problem(path or "rule", message))

    def rule(self, data: object, *, path: str, depth: int) -> Rule:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            if depth > MAX_DEPTH:
                self.bad(path, f"is nested deeper than {MAX_DEPTH}")
            elif self.nodes == MAX_NODES + 1:
                self.bad(path, f"is one of more than {MAX_NODES} conditions")
            return AllOf()
        if not isinstance(data, Mapping):
            self.bad(path, "expected an object, such as {'all': [...]}")
            return AllOf()
        if not data:
            return AllOf()
        kinds = [k for k in ("all", "any", "not", "attribute", "did", "did_not") if k in data]
        if len(kinds) != 1:
            self.bad(path, "expected exactly one of: all, any, not, attribute, did, did_not")
            return AllOf()
        return self.node(kinds[0], data, path=path, depth=depth)

    def node(self, kind: str, data: Mapping[str, Any], *, path: str, depth: int) -> Rule:
        below = f"{path}.{kind}".strip(".")
        if kind in {"all", "any"}:
            self.no_others(data, {kind}, path=path)
            rules = self.rules(data[kind], path=below, depth=depth)
            return AllOf(rules) if kind == "all" else AnyOf(rules)
        if kind == "not":
            self.no_others(data, {"not"}, path=path)
            return Not(self.rule(data["not"], path=below, depth=depth + 1))
        if kind == "attribute":
            return self.comparison(data, "attribute", path=path)
        did = self.did(data, kind, path=path)
        return did if kind == "did" else Not(did)

    def rules(self, data: object, *, path: str, depth: int) -> tuple[Rule, ...]:
        if not isinstance(data, list):
            self.bad(path, "expected a list of conditions")
            return ()
        return tuple(
            self.rule(child, path=f"{path}[{number}]", depth=depth + 1)
            for number, child in enumerate(data[: MAX_NODES + 1])
        )

    def did(self, data: Mapping[str, Any], kind: str, *, path: str) -> Did:
        self.no_others(data, {kind, "at_least", "within_days", "item", "where"}, path=path)
        return Did(
            event=self.text(data[kind], path=f"{path}.{kind}".strip(".")),
            at_least=self.times(data.get("at_least", 1), path=f"{path}.at_least".strip(".")),
            within_days=self.days(data.get("within_days"), path=f"{path}.within_days".strip(".")),
            items=self.items(data.get("item"), path=f"{path}.item".strip(".")),
            where=self.where(data.get("where", []), path=f"{path}.where".strip(".")),
        )

    def times(self, value: object, *, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TIMES:
            self.bad(path, f"expected a whole number from 1 to {MAX_TIMES}")
            return 1
        return value

    def days(self, value: object, *, path: str) -> float | None:
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value <= MAX_DAYS
        ):
            self.bad(path, f"expected a number of days, more than 0 and at most {MAX_DAYS}")
            return None
        return value

    def items(self, value: object, *, path: str) -> tuple[str, ...]:
        if value is None:
            return ()
        values = value if isinstance(value, list) else [value]
        if not values or len(values) > MAX_CHOICES:
            self.bad(path, f"expected 1 to {MAX_CHOICES} product ids")
            return ()
        return tuple(self.text(one, path=path) for one in values)

    def where(self, data: object, *, path: str) -> tuple[Comparison, ...]:
        if not isinstance(data, list) or len(data) > MAX_DEPTH:
            self.bad(path, f"expected a list of at most {MAX_DEPTH} conditions on properties")
            return ()
        found = []
        for number, child in enumerate(data):
            here = f"{path}[{number}]"
            if isinstance(child, Mapping) and "property" in child:
                found.append(self.comparison(child, "property", path=here))
            else:
                self.bad(here, "expected {'property': …, 'op': …, 'value': …}")
        return tuple(found)

    def comparison(self, data: Mapping[str, Any], subject: str, *, path: str) -> Comparison:
        self.no_others(data, {subject, "op", "value"}, path=path)
        name = self.text(data[subject], path=f"{path}.{subject}".strip("."))
        op = data.get("op")
        if op not in OPS:
            self.bad(f"{path}.op".strip("."), f"expected one of: {', '.join(OPS)}")
            return Comparison(name, "is set")
        if op in BARE_OPS:
            if data.get("value") is not None:
                self.bad(f"{path}.value".strip("."), f"has no place beside “{op}”")
            return Comparison(name, op)
        return Comparison(name, op, self.value(data, op, path=f"{path}.value".strip(".")))

    def value(
        self, data: Mapping[str, Any], op: str, *, path: str
    ) -> Scalar | tuple[Scalar, ...] | Moment | None:
        if "value" not in data:
            self.bad(path, "is missing")
            return None
        value = data["value"]
        if op in TIME_OPS:
            return self.moment(value, path=path)
        if op in NUMBER_OPS:
            return self.number(value, path=path)
        if op in TEXT_OPS:
            return self.text(value, path=path)
        if op == "in":
            if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHOICES:
                self.bad(path, f"expected a list of 1 to {MAX_CHOICES} values")
                return ()
            return tuple(self.scalar(v, path=f"{path}[{n}]") for n, v in enumerate(value))
        if op == "contains" and value == "":
            self.bad(path, "is empty")
        return self.scalar(value, path=path)

    def moment(self, value: object, *, path: str) -> Moment:
        if isinstance(value, Mapping) and set(value) == {"days_ago"}:
            days = value["days_ago"]
            usable = isinstance(days, int | float) and not isinstance(days, bool)
            if usable and abs(days) <= MAX_DAYS:
                return Moment(days_ago=days)
        elif isinstance(value, str) and (at := parse_time(value)) is not None:
            return Moment(at=at)
        self.bad(path, "expected a time such as 2026-11-02T12:00:00Z, or {'days_ago': 7}")
        return Moment(days_ago=0)

    def number(self, value: object, *, path: str) -> Scalar:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.bad(path, "expected a number")
            return 0
        return self.scalar(value, path=path)

    def scalar(self, value: object, *, path: str) -> Scalar:
        if isinstance(value, str):
            return self.text(value, path=path, may_be_empty=True)
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float) and math.isfinite(value) and abs(value) < 10**300:
            return value
        self.bad(path, "expected a text, a number, true or false")
        return ""

    def text(self, value: object, *, path: str, may_be_empty: bool = False) -> str:
        if not isinstance(value, str) or not (value or may_be_empty):
            self.bad(path, "expected a text")
            return ""
        if len(value) > MAX_TEXT:
            self.bad(path, f"is longer than {MAX_TEXT} characters")
        elif "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            self.bad(path, "has characters that no database can hold")
        return value

    def no_others(self, data: Mapping[str, Any], known: set[str], *, path: str) -> None:
        for name in data:
            if name not in known:
                self.bad(f"{path}.{name}".strip("."), "is not known here")
