"""What sends one message to one person: a server's wish, or something that they did.

Each is a row, with what the message says of it. It stays with whom it was about, whoever they
become: who looks for one looks at the survivor and at all who were merged into it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from campaigns.models import Occasion
from delivery.models import Message
from delivery.policy import ON_OCCASION, TO_DEVICES
from engage.lib.sweeps import delete_in_sweeps
from engage.profiles import devices

FIND: Final = """
SELECT message_id, properties::text FROM campaigns_occasion, unnest(message_ids) AS message_id
WHERE profile_id = ANY(%s) AND message_ids && %s::uuid[]
"""
# Of people and of those who were merged into the same one; the survivors first. In one statement,
# or a merge between two of them would leave somebody out.
FAMILY: Final = """
WITH survivor AS (
  SELECT DISTINCT coalesce(merged_into, id) AS id FROM profiles_profile WHERE id = ANY(%s)
)
SELECT member.id FROM survivor CROSS JOIN LATERAL (
  SELECT survivor.id, 0 AS place UNION ALL
  SELECT p.id, 1 FROM profiles_profile p WHERE p.merged_into = survivor.id) member
ORDER BY member.place, member.id
"""
# Whoever is being erased is in the journal before anything of theirs is deleted; and their row,
# locked here, is waited for before this room forgets them.
HOLD: Final = "SELECT 1 FROM profiles_profile WHERE id = %s FOR KEY SHARE"
ERASED: Final = "SELECT 1 FROM profiles_erasure WHERE profile_id = %s"
SWEEP: Final = 10_000  # rows deleted by one statement
DROP: Final = """
DELETE FROM campaigns_occasion WHERE (profile_id, id) IN (
  SELECT profile_id, id FROM campaigns_occasion WHERE kept_until <= %s
  ORDER BY kept_until LIMIT %s)
"""


def is_here(profile_id: int) -> bool:
    """Not erased, nor about to be; neither is before the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [profile_id])
        known = cursor.fetchone() is not None
        cursor.execute(ERASED, [profile_id])
        return known and cursor.fetchone() is None


def list_family(profile_ids: Sequence[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(FAMILY, [list(profile_ids)])
        return [row[0] for row in cursor.fetchall()]


def list_address_ids(channel: str, profile_id: int) -> list[str]:
    """Of a push the devices; else, and for somebody without one, the empty one.

    Somebody without a device gets a message too: the door says why not.
    """
    if channel not in TO_DEVICES:
        return [""]
    tokens = devices.push_tokens([profile_id], web=channel == "web_push")
    return [device for device, *_ in tokens.get(profile_id, [])] or [""]


def list_properties(messages: Sequence[Message]) -> dict[UUID, Mapping[str, Any]]:
    """What the server said, or the event, by message."""
    asked = [message for message in messages if message.kind in ON_OCCASION]
    if not asked:
        return {}
    with connection.cursor() as cursor:
        people = list_family(list({message.profile_id for message in asked}))
        cursor.execute(FIND, [people, [str(message.id) for message in asked]])
        return {message_id: json.loads(text) for message_id, text in cursor.fetchall()}


def drop_old(*, sweeps: int, now: datetime) -> int:
    """Forget what is over, in at most so many statements; how many."""
    return delete_in_sweeps(DROP, now=now, rows=SWEEP, sweeps=sweeps)


def export(profile_id: int) -> list[dict[str, Any]]:
    """For the copy of all that is kept of a person, the newest first."""
    found = Occasion.objects.filter(profile_id__in=list_family([profile_id]))
    return [
        {
            "message_ids": [str(one) for one in row.message_ids],
            "properties": row.properties,
            "asked_at": row.created_at.isoformat(),
        }
        for row in found.order_by("-created_at")[:500]
    ]
