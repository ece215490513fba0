"""Which events were stored before, by (source, message_id)."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import psycopg2.errors
from django.db import connection, transaction

from engage.lib.bulk import arrays, copy_lines
from engage.profiles.events import StoredEvent

IS_UUID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
TABLE: Final = "profiles_dedupeid"
STAGED: Final = f"""
INSERT INTO {TABLE} (digest, source_id, seen_on)
SELECT digest, source_id, %s FROM unnest(%s::uuid[], %s::int[]) AS t (digest, source_id)
ORDER BY digest, source_id
ON CONFLICT DO NOTHING
RETURNING digest::text, source_id
"""  # noqa: S608


def digest_of(message_id: str) -> str:
    """The id itself where it is a UUID: version 7 keeps the index warm. Else 16 hashed bytes."""
    if len(message_id) == 36 and IS_UUID(message_id):
        return message_id
    digest = blake2b(message_id.encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def keep_new(
    cursor: Any, events: Sequence[StoredEvent], digests: Sequence[str], *, now: datetime
) -> list[int]:
    """Note the ids and answer with the positions of events that were not there, in their order.

    Of equal ones in the batch the first is kept. Ids are written in sorted order, so consumers
    that store overlapping batches wait for each other and never deadlock.
    """
    first: dict[tuple[str, int], int] = {}
    for position, (event, digest) in enumerate(zip(events, digests, strict=True)):
        first.setdefault((digest, event.source_id), position)
    keys = sorted(first)
    seen_on = now.date().isoformat()
    try:
        with transaction.atomic():
            lines = [f"{digest}\t{source_id}\t{seen_on}" for digest, source_id in keys]
            copy_lines(cursor, lines, table=TABLE, columns="digest, source_id, seen_on")
    except psycopg2.errors.UniqueViolation:
        cursor.execute(STAGED, [seen_on, *arrays(keys)])
        return sorted(first[key] for key in cursor.fetchall())
    return sorted(first.values())


def drop_old(*, now: datetime, days: int) -> int:
    """Forget ids that are older than the window. Safe to run twice."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {TABLE} WHERE seen_on < %s",  # noqa: S608
            [(now - timedelta(days=days)).date()],
        )
        return int(cursor.rowcount)
