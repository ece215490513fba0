"""Telling the rooms above: rows of the storing transaction, read in commit order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from django.db import connection, transaction

from engage.profiles.commit_order import HORIZON

WATCHED: Final = frozenset(
    {"Notification Viewed", "Notification Clicked", "Notification Dismissed"}
)

ADD: Final = """
INSERT INTO profiles_notice (profile_id, name, ts, message_id, properties, created_at)
SELECT profile_id, name, to_timestamp(ts_ms / 1000.0), message_id, properties::jsonb, %s
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[])
  AS t (profile_id, name, ts_ms, message_id, properties)
"""
# Rows of transactions older than every open one: nothing can still appear before the cursor.
READ: Final = f"""
SELECT id, txid, profile_id, name, ts, message_id, properties::text FROM profiles_notice
WHERE (txid, id) > (%s, %s) AND txid < {HORIZON} AND name = ANY(%s)
ORDER BY txid, id LIMIT %s
"""  # noqa: S608


class Heard(NamedTuple):
    """One notice as a consumer reads it."""

    id: int
    txid: int
    profile_id: int
    name: str
    ts: datetime
    message_id: str
    properties: Mapping[str, Any]


def add(
    cursor: Any, rows: Sequence[tuple[int, str, int, str, Mapping[str, Any]]], *, now: datetime
) -> None:
    """Leave notices of (profile, name, ts in ms, message_id, properties)."""
    if rows:
        profiles, names, times, ids, properties = zip(*rows, strict=True)
        encoded = [msgspec.json.encode(each).decode() for each in properties]
        cursor.execute(ADD, [now, list(profiles), list(names), list(times), list(ids), encoded])


@contextmanager
def read(consumer: str, *, names: Sequence[str], limit: int = 1_000) -> Iterator[list[Heard]]:
    """The consumer's next notices, inside a transaction that also moves its cursor.

    What the body writes and the cursor commit together: each notice has its effect once. Another
    process of the same consumer waits.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_noticecursor (consumer, txid, last_id) VALUES (%s, 0, 0)"
            " ON CONFLICT DO NOTHING",
            [consumer],
        )
        cursor.execute(
            "SELECT txid, last_id FROM profiles_noticecursor WHERE consumer = %s FOR UPDATE",
            [consumer],
        )
        cursor.execute(READ, [*cursor.fetchone(), list(names), limit])
        heard = [
            Heard._make((*row[:-1], msgspec.json.decode(row[-1]))) for row in cursor.fetchall()
        ]
        yield heard
        if heard:
            cursor.execute(
                "UPDATE profiles_noticecursor SET txid = %s, last_id = %s WHERE consumer = %s",
                [heard[-1].txid, heard[-1].id, consumer],
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
