"""Small numbers for item ids and event names, as the columns of the history hold them."""

from collections.abc import Collection, Iterable
from typing import Any, Final, Literal

from django.db import connection, transaction

from engage.lib.bulk import array

Kind = Literal["item", "event"]

FIND: Final = "SELECT value, id FROM profiles_term WHERE kind = %s AND value = ANY(%s::text[])"
# In the order of their values: two transactions that add the same terms wait, never deadlock.
ADD: Final = """
INSERT INTO profiles_term (kind, value)
SELECT %s, value FROM unnest(%s::text[]) AS value ORDER BY value
ON CONFLICT DO NOTHING
"""

# Committed numbers, per process. They never change, so only a replaced database makes them wrong.
known: dict[str, dict[str, int]] = {"item": {}, "event": {}}
names: dict[int, str] = {}


def numbers(cursor: Any, kind: Kind, values: Iterable[str]) -> dict[str, int]:
    """The number of each value; unseen ones get one. Inside the caller's transaction."""
    wanted = set(values)
    forget_unless_true(cursor, kind)
    cache = known[kind]
    missing = sorted(wanted - cache.keys())
    if not missing:
        return {value: cache[value] for value in wanted}
    found = find(cursor, kind, missing)
    if len(found) < len(missing):
        cursor.execute(ADD, [kind, array(value for value in missing if value not in found)])
        found = find(cursor, kind, missing)
    # A number of a transaction that fails must not be remembered.
    transaction.on_commit(lambda: remember(kind, found))
    return {value: found.get(value) or cache[value] for value in wanted}


def find(cursor: Any, kind: Kind, values: Collection[str]) -> dict[str, int]:
    cursor.execute(FIND, [kind, array(values)])
    return dict(cursor.fetchall())


def remember(kind: Kind, found: dict[str, int]) -> None:
    known[kind].update(found)
    names.update((number, value) for value, number in found.items())


def forget_unless_true(cursor: Any, kind: Kind) -> None:
    """Drop what this process remembers when the database was replaced below it."""
    if known[kind]:
        value, number = next(reversed(known[kind].items()))
        cursor.execute(
            "SELECT 1 FROM profiles_term WHERE id = %s AND kind = %s AND value = %s",
            [number, kind, value],
        )
        if cursor.fetchone() is None:
            known["item"].clear()
            known["event"].clear()
            names.clear()


def lookup(kind: Kind, values: Collection[str]) -> dict[str, int]:
    """The numbers of the values that have one."""
    with connection.cursor() as cursor:
        return find(cursor, kind, values)


def list_events(*, limit: int = 10_000) -> list[str]:
    """The names of all events that ever came in, by the alphabet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT value FROM profiles_term WHERE kind = 'event' ORDER BY value LIMIT %s", [limit]
        )
        return [row[0] for row in cursor.fetchall()]


def values(kind: Kind) -> list[str]:
    """All values by number; empty strings where a number is of the other kind or unused."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, value FROM profiles_term WHERE kind = %s", [kind])
        rows = cursor.fetchall()
    listed = [""] * (max((number for number, _ in rows), default=0) + 1)
    for number, value in rows:
        listed[number] = value
    return listed


def spell(numbers: Collection[int]) -> dict[int, str]:
    """What the numbers stand for, items and events alike."""
    try:
        return {number: names[number] for number in numbers}  # all known, as nearly always
    except KeyError:
        missing = [number for number in numbers if number not in names]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, value FROM profiles_term WHERE id = ANY(%s)", [missing])
        names.update(cursor.fetchall())
    return {number: names[number] for number in numbers if number in names}
