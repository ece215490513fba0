"""What is known of a person: per attribute the newest statement stays, whatever came first.

A stamp says how strong a statement is: [ts in ms, message_id] for a trait; [ts of the day] for a
locale or time zone that only the context told, which any trait beats. A removed attribute keeps
its stamp, so that an older statement cannot bring it back.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

RESERVED: Final = frozenset(
    {"email", "phone", "first_name", "last_name", "locale", "timezone", "country"}
)
OUR_NAMES: Final = {"firstName": "first_name", "lastName": "last_name"}  # of the Segment format
FROM_CONTEXT: Final = ("locale", "timezone")
NOT_ATTRIBUTES: Final = frozenset({"subscriptions"})  # those are consents
MAX_ATTRIBUTES: Final = 512
NAME_LENGTH: Final = 120
VALUE_LENGTH: Final = 1_024
NESTED_LENGTH: Final = 8_192  # of a list or an object, as JSON

Stamp = list[Any]
Rank = tuple[int, int, str]
Statements = dict[str, tuple[Rank, Any]]


def stamp_of(rank: Rank) -> Stamp:
    """[ts, message_id] of a trait, [ts] of a context."""
    return [rank[1], rank[2]] if rank[0] else [rank[1]]


def rank_of(stamp: Stamp, value: Any) -> Rank:
    """How strong the stamped statement is. On one day of contexts the greatest value stays."""
    return (1, stamp[0], stamp[1]) if len(stamp) == 2 else (0, stamp[0], str(value))


def is_acceptable(name: str, value: Any) -> bool:
    """Whether an attribute is within the bounds; what is not is left out and counted."""
    if not name or len(name) > NAME_LENGTH:
        return False
    if isinstance(value, str):
        return len(value) <= VALUE_LENGTH
    if isinstance(value, list | dict):
        return len(msgspec.json.encode(value)) <= NESTED_LENGTH
    return True


def state_traits(
    statements: Statements, traits: Mapping[str, Any], *, ts_ms: int, message_id: str
) -> int:
    """Add what an identify states; the number of attributes that were out of bounds."""
    refused = 0
    rank = (1, ts_ms, message_id)
    for given, value in traits.items():
        name = OUR_NAMES.get(given, given)
        if name in NOT_ATTRIBUTES or (name != given and name in traits):
            continue
        if not is_acceptable(name, value):
            refused += 1
        elif name not in statements or statements[name][0] < rank:
            statements[name] = (rank, value)
    return refused


def read_context(context: Mapping[str, Any]) -> dict[str, str]:
    """The locale and time zone that a context tells."""
    return {
        name: value
        for name in FROM_CONTEXT
        if isinstance(value := context.get(name), str) and 0 < len(value) <= NAME_LENGTH
    }


def state_context(statements: Statements, told: Mapping[str, str], *, day_ms: int) -> None:
    """Add what the context of an event of that day tells."""
    for name, value in told.items():
        rank = (0, day_ms, value)
        if name not in statements or statements[name][0] < rank:
            statements[name] = (rank, value)


def is_told_only(statements: Statements) -> bool:
    """Whether all of it comes from contexts."""
    return not any(rank[0] for rank, _ in statements.values())


def join(
    attributes: Mapping[str, Any], stamps: Mapping[str, Stamp], statements: Statements
) -> tuple[dict[str, Any], dict[str, Stamp]] | None:
    """The attributes and stamps after the statements; None when they change nothing."""
    newer = {
        name: (rank, value)
        for name, (rank, value) in statements.items()
        if name not in stamps or rank_of(stamps[name], attributes.get(name)) < rank
    }
    if not newer:
        return None
    values, marks = dict(attributes), dict(stamps)
    for name, (rank, value) in newer.items():
        marks[name] = stamp_of(rank)
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    return bound(values, marks)


def bound(
    attributes: dict[str, Any], stamps: dict[str, Stamp]
) -> tuple[dict[str, Any], dict[str, Stamp]]:
    """At most 512 names: the reserved ones and the newest others, so order does not matter."""
    if len(stamps) <= MAX_ATTRIBUTES:
        return attributes, stamps

    def strength(name: str) -> tuple[bool, Rank, str]:
        return name in RESERVED, rank_of(stamps[name], attributes.get(name)), name

    kept = set(sorted(stamps, key=strength, reverse=True)[:MAX_ATTRIBUTES])
    return (
        {name: value for name, value in attributes.items() if name in kept or name not in stamps},
        {name: stamp for name, stamp in stamps.items() if name in kept},
    )


def statements_of(attributes: Mapping[str, Any], stamps: Mapping[str, Stamp]) -> Statements:
    """Attributes and stamps as the statements that made them."""
    return {
        name: (rank_of(stamp, attributes.get(name)), attributes.get(name))
        for name, stamp in stamps.items()
    }
