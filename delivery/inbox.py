"""The messages that wait in the app's message centre, until they are dismissed or expire."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction

from engage.lib.errors import InvalidInput
from engage.lib.prepared import Query
from engage.lib.sweeps import delete_in_sweeps

# --- putting in ------------------------------------------------------------------------------

# Erasing takes the row's whole lock, so whoever is being erased is passed by.
LOCK: Final = """
SELECT id FROM profiles_profile WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE SKIP LOCKED
"""
LIVING: Final = """
SELECT p.id FROM profiles_profile p WHERE p.id = ANY(%s)
  AND NOT EXISTS (SELECT 1 FROM profiles_erasure e WHERE e.profile_id = p.id)
"""
ADD: Final = """
INSERT INTO delivery_inboxmessage
  (profile_id, id, campaign_id, content_type, content, token, expires_at, created_at)
SELECT t.*, %s FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::text[], %s::jsonb[],
                           %s::text[], %s::timestamptz[]) AS t
ORDER BY 1, 2 ON CONFLICT DO NOTHING
"""
STATEMENTS: Final = 3  # of `store`; together they may take its time


class Entry(NamedTuple):
    profile_id: int
    message_id: UUID
    campaign_id: int
    content_type: str
    content: str  # JSON
    token: str
    expires_at: datetime


class Stored(NamedTuple):
    """The people whose messages were not taken."""

    gone: frozenset[int]  # erased
    busy: frozenset[int]  # somebody holds their row


def store(entries: Sequence[Entry], *, timeout_seconds: float, now: datetime) -> Stored:
    """Put the messages into their inboxes, all at once. Safe to run twice.

    A message for somebody who is erased meanwhile is not left behind: either the erasing waits for
    this transaction and finds the row, or this one sees the erasing in its journal.

    Raises
    ------
    django.db.OperationalError, django.db.InterfaceError
        The database was too slow or went away; when it went at the end, it may have all.
    """
    asked = frozenset(entry.profile_id for entry in entries)
    patience = f"{max(1, int(timeout_seconds * 1_000 / STATEMENTS))}ms"
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [patience])
        cursor.execute(LOCK, [list(asked)])
        held = {row[0] for row in cursor.fetchall()}
        cursor.execute(LIVING, [list(asked)])  # sees what was committed before the lock was ours
        living = {row[0] for row in cursor.fetchall()}
        open_to = held & living
        if taken := [entry for entry in entries if entry.profile_id in open_to]:
            cursor.execute(ADD, [now, *(list(column) for column in zip(*taken, strict=True))])
    return Stored(gone=asked - living, busy=frozenset(living - held))


# --- looking in ------------------------------------------------------------------------------

# Of the person and of those who were merged into them. A deed is written after its message was
# planned, and ids begin with their time: older deeds need not be looked at.
LIST: Final = Query(
    "inbox",
    """
WITH person AS (
  SELECT id FROM profiles_profile WHERE id = $1 OR merged_into = $1
), kept AS (
  SELECT m.* FROM person JOIN delivery_inboxmessage m ON m.profile_id = person.id
  WHERE m.expires_at > $2
), deeds AS (
  SELECT i.message_id, bool_or(i.kind = 'impression') AS read,
    bool_or(i.kind = 'click') AS clicked, bool_or(i.kind = 'dismiss') AS dismissed
  FROM person JOIN delivery_interaction i ON i.profile_id = person.id
  WHERE NOT i.machine AND i.id >= (SELECT id FROM kept ORDER BY id LIMIT 1)
  GROUP BY i.message_id
), waiting AS (
  SELECT kept.*, coalesce(read, false) AS read, coalesce(clicked, false) AS clicked
  FROM kept LEFT JOIN deeds ON deeds.message_id = kept.id
  WHERE NOT coalesce(dismissed, false)
)
SELECT json_build_array(
  (SELECT count(*) FROM waiting WHERE NOT read),
  ARRAY(SELECT json_build_array(id, campaign_id, content_type, content, token,
      (extract(epoch FROM created_at) * 1000000)::bigint,
      (extract(epoch FROM expires_at) * 1000000)::bigint, read, clicked)
    FROM waiting WHERE $3 IS NULL OR (created_at, id) < ($3, $4)
    ORDER BY created_at DESC, id DESC LIMIT $5)
)::text
""",
    types=("bigint", "timestamptz", "timestamptz", "uuid", "bigint"),
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PLACE: Final = re.compile(r"(\d{1,16})-([0-9a-f]{32})", re.ASCII)


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """One message as its person finds it."""

    id: UUID
    campaign_id: int
    content_type: str
    content: dict[str, Any]
    token: str
    created_us: int
    expires_us: int
    read: bool
    clicked: bool

    @property
    def created_at(self) -> datetime:
        return from_micros(self.created_us)

    @property
    def expires_at(self) -> datetime:
        return from_micros(self.expires_us)


class Place(NamedTuple):
    """Where a page of an inbox ended."""

    created_at: datetime
    message_id: UUID


class Page(NamedTuple):
    messages: Sequence[Waiting] = ()  # the newest first
    unread: int = 0  # of all that wait, whatever the page
    next: str = ""  # the place where it goes on; empty: nowhere


decode: Final = msgspec.json.Decoder(tuple[int, list[Waiting]]).decode


def list_messages(
    profile_id: int, *, limit: int, before: Place | None = None, now: datetime
) -> Page:
    """What waits for a person: not what expired or was dismissed."""
    after = before or (None, None)
    row = LIST.fetch_one(profile_id, now, *after, limit + 1)
    assert row is not None  # noqa: S101 - an aggregate of no rows is a row
    unread, found = decode(row[0])
    shown = found[:limit]
    more = len(found) > limit
    return Page(shown, unread, f"{shown[-1].created_us}-{shown[-1].id.hex}" if more else "")


def read_place(text: str) -> Place:
    """The place that `Page.next` names.

    Raises
    ------
    InvalidInput
        It names none.
    """
    found = PLACE.fullmatch(text)
    if found is None:
        raise InvalidInput("before: expected what “next” of the page before said")
    return Place(from_micros(int(found[1])), UUID(hex=found[2]))


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


# --- forgetting ------------------------------------------------------------------------------

EXPORT: Final = """
SELECT m.id, m.campaign_id, m.content_type, m.content::text, m.created_at, m.expires_at
FROM delivery_inboxmessage m
WHERE m.profile_id IN (
  SELECT id FROM profiles_profile WHERE id = %(id)s OR merged_into = %(id)s)
ORDER BY m.created_at DESC, m.id DESC LIMIT %(limit)s
"""
EXPORTED: Final = 500  # messages of a person, the newest
DROP: Final = """
DELETE FROM delivery_inboxmessage WHERE (profile_id, id) IN (
  SELECT profile_id, id FROM delivery_inboxmessage WHERE expires_at <= %s
  ORDER BY expires_at LIMIT %s)
"""
SWEEP: Final = 10_000  # rows deleted by one statement


def export(profile_id: int) -> list[dict[str, Any]]:
    """What lies in a person's inbox, seen or not, ready for JSON; for the export of a person."""
    with connection.cursor() as cursor:
        cursor.execute(EXPORT, {"id": profile_id, "limit": EXPORTED})
        return [
            {
                "id": str(message_id),
                "campaign_id": campaign_id,
                "content_type": content_type,
                "content": msgspec.json.decode(content),
                "created_at": created_at.isoformat(),
                "expires_at": expires_at.isoformat(),
            }
            for message_id, campaign_id, content_type, content, created_at, expires_at
                in cursor.fetchall()
        ]  # fmt: skip


def drop_expired(*, sweeps: int, now: datetime) -> int:
    """Delete what is over, in at most so many statements; how many. Safe to run twice."""
    return delete_in_sweeps(DROP, now=now, rows=SWEEP, sweeps=sweeps)
