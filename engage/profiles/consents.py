"""Who may be written to, and taking a withdrawal."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import connection

from engage.lib import clock
from engage.profiles import consent_rows, identity, store
from engage.profiles.events import StoredEvent

NEED_OPT_IN: Final = frozenset({"email", "sms"})  # silence is no consent to these
OURSELVES: Final = 0  # the source of events that no client sent

# A whole-channel opt-out beats every topic; a topic's own word beats the channel's opt-in. For a
# merged profile the one that it became answers; one that is not there may not be written to.
ALLOWED: Final = """
SELECT p.id FROM profiles_profile p
LEFT JOIN profiles_consent c ON c.profile_id = coalesce(p.merged_into, p.id)
                            AND c.channel = %(channel)s AND c.topic = ''
LEFT JOIN profiles_consent t ON t.profile_id = coalesce(p.merged_into, p.id)
                            AND t.channel = %(channel)s AND t.topic = %(topic)s AND t.topic <> ''
WHERE p.id = ANY(%(ids)s)
  AND coalesce(c.status, '') <> 'opted_out' AND coalesce(t.status, '') <> 'opted_out'
  AND (NOT %(opt_in)s OR c.status = 'opted_in' OR t.status = 'opted_in')
"""
LIST: Final = """
SELECT profile_id, channel, topic, status, stated_ms, message_id, source FROM profiles_consent
WHERE profile_id = ANY(%s) ORDER BY channel, topic
"""


def allowed(profile_ids: Sequence[int], *, channel: str, topic: str = "") -> set[int]:
    """Which of the profiles may be written to on the channel now, about the topic."""
    with connection.cursor() as cursor:
        cursor.execute(
            ALLOWED,
            {
                "ids": list(profile_ids),
                "channel": channel,
                "topic": topic,
                "opt_in": channel in NEED_OPT_IN,
            },
        )
        return {row[0] for row in cursor.fetchall()}


def state(
    profile_id: int,
    *,
    channel: str,
    status: str,
    topic: str = "",
    stated_ms: int,
    message_id: str,
    source: str,
) -> bool:
    """Take what the person said as an event of theirs, so that it outlives replays and merges.

    Whether it is new: a `message_id` counts once. A profile that is not there any more needs no
    consent.
    """
    names = identity.list_identities([identity.follow_redirect(profile_id)])
    for kind, value in next(iter(names.values()), [])[:1]:
        stated = clock.from_millis(stated_ms)
        event = StoredEvent(
            source_id=OURSELVES,
            message_id=message_id[-100:],
            kind="track",
            name=consent_rows.EVENT,
            user_id=value if kind == "user" else "",
            anonymous_id=value if kind == "anonymous" else "",
            ts=stated,
            received_at=stated,
            properties={"channel": channel, "status": status, "topic": topic, "source": source},
        )
        return store.store_events([event], now=stated).stored > 0
    return False


def state_opt_out(
    profile_id: int,
    *,
    channel: str,
    topic: str = "",
    stated_ms: int,
    message_id: str = "",
    source: str = "unsubscribe link",
) -> None:
    """A withdrawal, as often as the message is answered by one. Safe to run twice."""
    state(
        profile_id,
        channel=channel,
        status="opted_out",
        topic=topic,
        stated_ms=stated_ms,
        message_id=f"{message_id}:{channel}:{stated_ms}",
        source=source,
    )


def after_last_ms(profile_id: int, *, channel: str, topic: str = "", now: datetime) -> int:
    """When a word that we hear now counts: now, but no earlier than the one it takes back.

    A client whose clock runs ahead states an opt-in of the future; a tie is an opt-out.
    """
    owner = identity.follow_redirect(profile_id)
    stated: list[int] = [
        one["stated_ms"]
        for one in list_consents([owner]).get(owner, [])
        if (one["channel"], one["topic"]) == (channel, topic)
    ]
    return max([clock.to_millis(now), *stated])


def list_consents(profile_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """The consents of each profile, as the export shows them."""
    names = ("channel", "topic", "status", "stated_ms", "message_id", "source")
    with connection.cursor() as cursor:
        cursor.execute(LIST, [list(profile_ids)])
        listed: dict[int, list[dict[str, Any]]] = {}
        for profile_id, *row in cursor.fetchall():
            listed.setdefault(profile_id, []).append(dict(zip(names, row, strict=True)))
    return listed
