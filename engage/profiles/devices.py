"""The installations of a person, and where their pushes go.

A token is that of the newest event of its device. When two rows have the same token the newest
statement holds it: the phone changed hands. That is decided when it is read, so it does not depend
on what arrived first.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.db import connection

from engage.lib import clock
from engage.lib.bulk import arrays

NOT_SAID: Final = object()
ID_LENGTH: Final = 255
TOKEN_LENGTH: Final = 4_096

FACTS: Final = "platform, model, os_version, app_version"
COLUMNS: Final = (
    "profile_id, device_id, token, token_ms, token_message_id, "
    f"{FACTS}, described_ms, last_seen, gone_at"
)
# `d` is the row, `excluded` the statement. Tokens are compared by (time, message_id), the facts by
# (day, facts): an event a minute later that says the same writes nothing.
LATER: Final = """(d.token_ms, d.token_message_id)
    < (excluded.token_ms, excluded.token_message_id)"""
NEWER_FACTS: Final = """(d.described_ms, d.platform, d.model, d.os_version, d.app_version)
    < (excluded.described_ms, excluded.platform, excluded.model, excluded.os_version,
       excluded.app_version)"""
CHANGES: Final = f"({LATER} OR {NEWER_FACTS} OR d.last_seen < excluded.last_seen)"
JOIN: Final = f"""
ON CONFLICT (profile_id, device_id) DO UPDATE SET
    gone_at = CASE WHEN d.token = excluded.token THEN coalesce(d.gone_at, excluded.gone_at)
                   WHEN {LATER} THEN excluded.gone_at ELSE d.gone_at END,
    token = CASE WHEN {LATER} THEN excluded.token ELSE d.token END,
    token_message_id = CASE WHEN {LATER} THEN excluded.token_message_id
                            ELSE d.token_message_id END,
    token_ms = greatest(d.token_ms, excluded.token_ms),
    platform = CASE WHEN {NEWER_FACTS} THEN excluded.platform ELSE d.platform END,
    model = CASE WHEN {NEWER_FACTS} THEN excluded.model ELSE d.model END,
    os_version = CASE WHEN {NEWER_FACTS} THEN excluded.os_version ELSE d.os_version END,
    app_version = CASE WHEN {NEWER_FACTS} THEN excluded.app_version ELSE d.app_version END,
    described_ms = greatest(d.described_ms, excluded.described_ms),
    last_seen = greatest(d.last_seen, excluded.last_seen)
WHERE {CHANGES}
"""
# What changes nothing is left out before the rows are touched: a conflict would lock them.
ADD: Final = f"""
INSERT INTO profiles_device AS d ({COLUMNS})
SELECT excluded.* FROM (
    SELECT profile_id, device_id, token, token_ms, token_message_id, {FACTS}, described_ms,
           to_timestamp(seen_ms / 1000) AS last_seen, NULL::timestamptz
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[],
                %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])
      AS t (profile_id, device_id, token, token_ms, token_message_id, {FACTS}, described_ms,
            seen_ms)
) AS excluded
LEFT JOIN profiles_device d USING (profile_id, device_id)
WHERE d.profile_id IS NULL OR {CHANGES}
{JOIN}
"""  # noqa: S608
COPY: Final = f"""
INSERT INTO profiles_device AS d ({COLUMNS})
SELECT %s, device_id, token, token_ms, token_message_id, {FACTS}, described_ms, last_seen, gone_at
FROM profiles_device WHERE profile_id = %s
{JOIN}
"""  # noqa: S608
# OFFSET 0: looked up row by row by an index, whatever the planner takes the table for. Where few
# devices had a token when it was last analysed, it would compare all with all.
HELD: Final = """
NOT EXISTS (
    SELECT 1 FROM profiles_device o WHERE o.token = d.token AND o.token <> ''
    AND (o.token_ms, o.token_message_id, o.profile_id, o.device_id)
      > (d.token_ms, d.token_message_id, d.profile_id, d.device_id) OFFSET 0)
"""
TOKENS: Final = f"""
SELECT d.profile_id, d.device_id, d.token, d.platform
FROM unnest(%s::bigint[]) AS asked (profile_id)
CROSS JOIN LATERAL (
  SELECT * FROM profiles_device WHERE profile_id = asked.profile_id OFFSET 0) AS d
WHERE d.token <> '' AND d.gone_at IS NULL AND {HELD}
ORDER BY d.profile_id, d.last_seen DESC, d.device_id
"""  # noqa: S608


Tokens = dict[int, list[tuple[str, str, str]]]  # by profile


class Said(NamedTuple):
    """What a context says of its device."""

    device_id: str
    token: str | None  # None: nothing is said of it; empty: there is none
    facts: tuple[str, str, str, str]


class Statement(NamedTuple):
    """What the events of one batch say of one device."""

    token: str
    token_stamp: tuple[int, str]
    facts: tuple[int, str, str, str, str]  # the day, then FACTS
    seen_ms: int


Statements = dict[str, Statement]  # by device id


def read_context(context: Mapping[str, Any]) -> Said | None:
    """What `context.device`, `context.os` and `context.app` say."""
    device = context.get("device")
    device_id = word(device, "id", ID_LENGTH)
    if not isinstance(device, dict) or not device_id:
        return None
    system, app = context.get("os"), context.get("app")
    platform = word(device, "type", 20) or word(system, "name", 20)
    facts = (
        platform.lower(),
        word(device, "model", 100),
        word(system, "version", 50),
        word(app, "version", 50),
    )
    token = device.get("token", NOT_SAID)
    return Said(device_id, (token or "") if token is None or is_token(token) else None, facts)


def state(statements: Statements, said: Said, *, day_ms: int, ts_ms: int, message_id: str) -> None:
    """Add what an event of that day says."""
    stated = Statement(
        token=said.token or "",
        token_stamp=(0, "") if said.token is None else (ts_ms, message_id),
        facts=(day_ms, *said.facts) if any(said.facts) else (0, *said.facts),
        seen_ms=day_ms,
    )
    known = statements.get(said.device_id)
    statements[said.device_id] = stated if known is None else join(known, stated)


def word(source: object, name: str, length: int) -> str:
    """A string of the mapping, cut to the length of its column; empty when there is none."""
    value = source.get(name) if isinstance(source, dict) else None
    return value[:length] if isinstance(value, str) else ""


def is_token(token: object) -> bool:
    return isinstance(token, str) and len(token) <= TOKEN_LENGTH


def join(one: Statement, other: Statement) -> Statement:
    newer = max(one, other, key=lambda said: said.token_stamp)
    return Statement(
        token=newer.token,
        token_stamp=newer.token_stamp,
        facts=max(one.facts, other.facts),
        seen_ms=max(one.seen_ms, other.seen_ms),
    )


def add(cursor: Any, statements: Mapping[int, Statements]) -> None:
    """Join the statements into the rows of profiles, which the caller has locked."""
    rows = [
        (profile, device_id, said.token, *said.token_stamp, *said.facts[1:], said.facts[0],
         said.seen_ms)
        for profile, stated in sorted(statements.items())
        for device_id, said in sorted(stated.items())
    ]  # fmt: skip
    if rows:
        cursor.execute(ADD, arrays(rows))


def copy(cursor: Any, *, loser: int, winner: int) -> None:
    cursor.execute(COPY, [winner, loser])


def push_tokens(profile_ids: Sequence[int], *, web: bool = False) -> Tokens:
    """(device_id, token, platform) of the devices that can get a push; the last seen first.

    A browser's token may be its subscription, a JSON object: with `web` those, without the others.
    """
    with connection.cursor() as cursor:
        cursor.execute(TOKENS, [list(set(profile_ids))])
        found: Tokens = {}
        for profile_id, device_id, token, platform in cursor.fetchall():
            if is_subscription(token, platform) if web else not token.startswith("{"):
                found.setdefault(profile_id, []).append((device_id, token, platform))
    return found


def is_subscription(token: str, platform: str) -> bool:
    """Whether a token is what a browser gives: {"endpoint": …, "keys": {…}}."""
    if platform.lower() != "web" or not token.startswith("{"):
        return False
    try:
        read = json.loads(token)
    except (ValueError, RecursionError):
        return False
    return isinstance(read.get("endpoint"), str) and isinstance(read.get("keys"), dict)


def mark_gone(profile_id: int, device_id: str, token: str, *, gone_ms: int | None = None) -> None:
    """The provider says the token is not registered any more. Safe to run twice.

    `gone_ms`: since when; a token that the app told later was registered anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE profiles_device SET gone_at = coalesce(gone_at, %s)"
            " WHERE profile_id = %s AND device_id = %s AND token = %s"
            " AND token_ms <= coalesce(%s, token_ms)",
            [clock.now(), profile_id, device_id, token, gone_ms],
        )


def list_devices(profile_id: int) -> list[dict[str, Any]]:
    """The devices of one profile, as the export shows them."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.device_id, CASE WHEN {HELD} THEN d.token ELSE '' END,"  # noqa: S608
            f" d.platform, d.model, d.os_version, d.app_version, d.last_seen, d.gone_at"
            f" FROM profiles_device d WHERE d.profile_id = %s ORDER BY d.device_id",
            [profile_id],
        )
        names = ("id", "token", "platform", "model", "os_version", "app_version", "last_seen")
        return [
            {**dict(zip(names, row[:-1], strict=True)), "gone": row[-1] is not None}
            for row in cursor.fetchall()
        ]
