"""A rule asked about one person in memory. `query.py` says the same in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from campaigns.segments.rules import (
    AllOf,
    AnyOf,
    Comparison,
    Did,
    Moment,
    Not,
    Rule,
    parse_time,
)
from engage.profiles import extract


@dataclass(frozen=True, slots=True)
class EventFact:
    name: str
    ts: datetime
    properties: Mapping[str, Any] = field(default_factory=dict)
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one person: present attributes, and the events a rule may ask for."""

    attributes: Mapping[str, Any]
    events: Sequence[EventFact] = ()


def matches(rule: Rule, facts: Facts, *, now: datetime) -> bool:
    if isinstance(rule, AllOf):
        return all(matches(child, facts, now=now) for child in rule.rules)
    if isinstance(rule, AnyOf):
        return any(matches(child, facts, now=now) for child in rule.rules)
    if isinstance(rule, Not):
        return not matches(rule.rule, facts, now=now)
    if isinstance(rule, Did):
        return _did(rule, facts.events, now=now)
    return compare(rule, facts.attributes, now=now)


def compare(comparison: Comparison, values: Mapping[str, Any], *, now: datetime) -> bool:
    found, op, wanted = values.get(comparison.name), comparison.op, comparison.value
    if op == "is set":
        return found is not None
    if op == "is not set":
        return found is None
    if op == "!=":
        return not _equal(found, wanted)
    if op == "=":
        return _equal(found, wanted)
    if isinstance(wanted, tuple):
        return any(_equal(found, one) for one in wanted)
    if op == "contains":
        if isinstance(found, list):
            return any(_equal(one, wanted) for one in found)
        return isinstance(found, str) and isinstance(wanted, str) and wanted in found
    if op == "starts with":
        return isinstance(found, str) and found.startswith(str(wanted))
    if isinstance(wanted, Moment):
        return _on_that_side(found, op, wanted.resolve(now))
    return _ordered(found, op, wanted)


def _did(rule: Did, events: Sequence[EventFact], *, now: datetime) -> bool:
    since = None if rule.within_days is None else now - timedelta(days=rule.within_days)
    count = 0
    for event in events:
        if event.name != rule.event or (since is not None and event.ts < since):
            continue
        if rule.items and not set(rule.items) & set(extract.items(event.name, event.properties)):
            continue
        if all(compare(condition, event.properties, now=now) for condition in rule.where):
            count += 1
            if count >= rule.at_least:
                return True
    return False


def _equal(found: object, wanted: object) -> bool:
    """JSON's equality: true is not 1, and 0.1 is the decimal 0.1."""
    if _is_number(found) and _is_number(wanted):
        return _exact(found) == _exact(wanted)
    return type(found) is type(wanted) and found == wanted and isinstance(found, str | bool)


def _ordered(found: object, op: str, wanted: object) -> bool:
    if not _is_number(found):
        return False
    left, right = _exact(found), _exact(wanted)
    if op == "<":
        return left < right
    if op == "<=":
        return left <= right
    return left > right if op == ">" else left >= right


def _on_that_side(found: object, op: str, moment: datetime) -> bool:
    at = parse_time(found) if isinstance(found, str) else None
    if at is None:
        return False
    return at < moment if op == "before" else at > moment


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exact(value: object) -> Decimal:
    """The number as its JSON text says it, which is what PostgreSQL keeps."""
    return Decimal(repr(value))
