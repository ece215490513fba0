"""Telling the rooms above: rows of the storing transaction, read in commit order.

Some events leave a notice always, others as long as a consumer watches them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from django.db import connection, transaction

from engage.profiles.commit_order import HORIZON

ALWAYS: Final = frozenset(
    {"Notification Viewed", "Notification Clicked", "Notification Dismissed"}
)
LAST: Final = 2**63 - 1  # behind every row of a transaction

ADD: Final = """
INSERT INTO profiles_notice (profile_id, name, ts, message_id, properties, created_at)
SELECT profile_id, name, to_timestamp(ts_ms / 1000.0), message_id, properties::jsonb, %s
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[])
  AS t (profile_id, name, ts_ms, message_id, properties)
"""
NOW: Final = f"SELECT {HORIZON}"
# Rows of transactions older than every open one: nothing can still appear before the cursor.
READ: Final = """
SELECT id, txid, profile_id, name, ts, message_id, properties::text, created_at
FROM profiles_notice
WHERE (txid, id) > (%s, %s) AND txid < %s
  AND (name = ANY(%s) OR name IN (SELECT name FROM profiles_watchedevent WHERE consumer = %s))
ORDER BY txid, id LIMIT %s
"""
IS_BEHIND: Final = """
SELECT EXISTS (SELECT 1 FROM profiles_notice WHERE (txid, id) > (%s, %s) AND txid < %s)
"""


class Heard(NamedTuple):
    """One notice as a consumer reads it."""

    id: int
    txid: int
    profile_id: int
    name: str
    ts: datetime
    message_id: str
    properties: Mapping[str, Any]
    stored_at: datetime


def watch(cursor: Any, consumer: str, names: Collection[str]) -> None:
    """From the commit of this transaction on these events, and no others, leave notices for it.

    What is stored by a transaction that begins later is heard of. Two that set the names of one
    consumer have to take turns: the second must have seen what the first said.
    """
    cursor.execute(
        "DELETE FROM profiles_watchedevent WHERE consumer = %s AND NOT name = ANY(%s)",
        [consumer, list(names)],
    )
    cursor.execute(
        "INSERT INTO profiles_watchedevent (consumer, name) SELECT %s, unnest(%s::text[])"
        " ON CONFLICT DO NOTHING",
        [consumer, list(names)],
    )


def list_watched(cursor: Any) -> frozenset[str]:
    """The names of the events that leave a notice now."""
    cursor.execute("SELECT name FROM profiles_watchedevent")
    return ALWAYS.union(row[0] for row in cursor.fetchall())


def add(
    cursor: Any, rows: Sequence[tuple[int, str, int, str, Mapping[str, Any]]], *, now: datetime
) -> None:
    """Leave notices of (profile, name, ts in ms, message_id, properties)."""
    if rows:
        profiles, names, times, ids, properties = zip(*rows, strict=True)
        encoded = [msgspec.json.encode(each).decode() for each in properties]
        cursor.execute(ADD, [now, list(profiles), list(names), list(times), list(ids), encoded])


@contextmanager
def read(consumer: str, *, names: Sequence[str] = (), limit: int = 1_000) -> Iterator[list[Heard]]:
    """The consumer's next notices, inside a transaction that also moves its cursor.

    Those of the `names` and of the events that the consumer watches.

    What the body writes and the cursor commit together: each notice has its effect once. Another
    process of the same consumer gets none meanwhile: the bell rings every second, and those that
    waited for a slow batch would fill the workers.
    """
    with connection.cursor() as cursor:  # committed first: a row in the making is waited for
        cursor.execute(
            "INSERT INTO profiles_noticecursor (consumer, txid, last_id) VALUES (%s, 0, 0)"
            " ON CONFLICT DO NOTHING",
            [consumer],
        )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT txid, last_id FROM profiles_noticecursor WHERE consumer = %s"
            " FOR UPDATE SKIP LOCKED",
            [consumer],
        )
        place = cursor.fetchone()
        if place is None:
            yield []
            return
        cursor.execute(NOW)
        horizon = cursor.fetchone()[0]
        cursor.execute(READ, [*place, horizon, list(names), consumer, limit])
        heard = [
            Heard._make((*row[:6], msgspec.json.decode(row[6]), row[7]))
            for row in cursor.fetchall()
        ]
        yield heard
        if len(heard) == limit:
            _move(cursor, consumer, heard[-1].txid, heard[-1].id)
            return
        cursor.execute(IS_BEHIND, [*place, horizon])
        if cursor.fetchone()[0]:  # what others are told is behind it, too, and need not be kept
            _move(cursor, consumer, horizon - 1, LAST)


def _move(cursor: Any, consumer: str, txid: int, last_id: int) -> None:
    cursor.execute(
        "UPDATE profiles_noticecursor SET txid = %s, last_id = %s WHERE consumer = %s",
        [txid, last_id, consumer],
    )


def drop_old(*, now: datetime, days: int) -> int:
    """Drop notices older than `days` that every consumer has read. Safe to run twice."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM profiles_notice n WHERE created_at < %s AND NOT EXISTS (SELECT 1"
            " FROM profiles_noticecursor c WHERE (c.txid, c.last_id) < (n.txid, n.id))",
            [now - timedelta(days=days)],
        )
        return int(cursor.rowcount)
