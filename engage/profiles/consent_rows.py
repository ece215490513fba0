"""Statements of consent and their rows: the newest wins, a tie is an opt-out."""

from collections.abc import Mapping
from typing import Any, Final

from engage.lib.bulk import arrays

CHANNELS: Final = frozenset({"email", "push", "web_push", "sms", "webhook", "in_app", "inbox"})
EVENT: Final = "Consent Changed"
STATUS: Final = {
    True: "opted_in",
    False: "opted_out",
    "opted_in": "opted_in",
    "opted_out": "opted_out",
    "subscribed": "opted_in",
    "unsubscribed": "opted_out",
}
TOPIC_LENGTH: Final = 100
SOURCE_LENGTH: Final = 100

Key = tuple[str, str]  # channel, topic
Strength = tuple[int, bool, str]  # ts in ms, is an opt-out, message_id
Statement = tuple[Strength, str]  # with its source
Statements = dict[Key, Statement]

COLUMNS: Final = "profile_id, channel, topic, status, stated_ms, message_id, source"
# Rows are compared by (time, is an opt-out, message_id), as `Strength` is.
JOIN: Final = """
ON CONFLICT (profile_id, channel, topic) DO UPDATE
SET status = excluded.status, stated_ms = excluded.stated_ms,
    message_id = excluded.message_id, source = excluded.source
WHERE (profiles_consent.stated_ms, profiles_consent.status = 'opted_out',
       profiles_consent.message_id)
    < (excluded.stated_ms, excluded.status = 'opted_out', excluded.message_id)
"""
ADD: Final = f"""
INSERT INTO profiles_consent ({COLUMNS})
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[],
                     %s::text[])
{JOIN}
"""  # noqa: S608
COPY: Final = f"""
INSERT INTO profiles_consent ({COLUMNS})
SELECT %s, channel, topic, status, stated_ms, message_id, source
FROM profiles_consent WHERE profile_id = %s
{JOIN}
"""  # noqa: S608


def state(
    statements: Statements,
    *,
    channel: object,
    status: object,
    topic: object,
    source: object,
    ts_ms: int,
    message_id: str,
) -> None:
    """Add one statement, unless it makes no sense."""
    word = STATUS.get(status) if isinstance(status, bool | str) else None
    place = channel.replace("-", "_") if isinstance(channel, str) else ""
    named = topic if isinstance(topic, str) else ""
    if word is None or place not in CHANNELS or len(named) > TOPIC_LENGTH:
        return
    strength = (ts_ms, word == "opted_out", message_id)
    key = (place, named)
    if key not in statements or statements[key][0] < strength:
        origin = source if isinstance(source, str) and source else "sdk"
        statements[key] = (strength, origin[:SOURCE_LENGTH])


def state_event(
    statements: Statements, properties: Mapping[str, Any], *, ts_ms: int, message_id: str
) -> None:
    """Add what a "Consent Changed" event says."""
    state(
        statements,
        channel=properties.get("channel"),
        status=properties.get("status"),
        topic=properties.get("topic", ""),
        source=properties.get("source"),
        ts_ms=ts_ms,
        message_id=message_id,
    )


def state_subscriptions(
    statements: Statements, subscriptions: object, *, ts_ms: int, message_id: str
) -> None:
    """Add what `traits.subscriptions` of an identify says: {"email": true, …}."""
    if isinstance(subscriptions, Mapping):
        for channel, status in subscriptions.items():
            state(
                statements,
                channel=channel,
                status=status,
                topic="",
                source="sdk",
                ts_ms=ts_ms,
                message_id=message_id,
            )


def add(cursor: Any, statements: Mapping[int, Statements]) -> None:
    """Join the statements into the rows of profiles, which the caller has locked."""
    rows = [
        (profile, channel, topic, "opted_out" if strength[1] else "opted_in", strength[0],
         strength[2], source)
        for profile, stated in sorted(statements.items())
        for (channel, topic), (strength, source) in sorted(stated.items())
    ]  # fmt: skip
    if rows:
        cursor.execute(ADD, arrays(rows))


def copy(cursor: Any, *, loser: int, winner: int) -> None:
    cursor.execute(COPY, [winner, loser])
