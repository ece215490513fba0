"""What people did with products longer ago than their recent touches reach."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from django.db import connection

from engage.lib import clock
from engage.profiles import extract

# One range of the primary key per profile.
FIND: Final = """
SELECT e.profile_id, e.name, e.properties::text, e.ts
FROM profiles_event e JOIN unnest(%s::text[], %s::timestamptz[]) AS w (name, since)
  ON e.name = w.name AND e.ts >= w.since
WHERE e.profile_id = ANY(%s) AND e.ts >= %s
"""


def list_items(
    profile_ids: Sequence[int], *, events: Mapping[str, int], now: datetime
) -> dict[int, set[str]]:
    """The items of each profile's events of the given names, each within its number of days."""
    since = {name: now - timedelta(days=days) for name, days in events.items()}
    found: dict[int, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            FIND, [list(since), list(since.values()), list(profile_ids), min(since.values())]
        )
        for profile_id, name, properties, _ in cursor:
            items = extract.items(name, msgspec.json.decode(properties))
            found.setdefault(profile_id, set()).update(items)
    return found


def list_times(
    profile_id: int, *, events: Mapping[str, int], most: int, now: datetime
) -> list[tuple[str, str, int]]:
    """Item, event name and time in ms of one profile's newest `most` events of the given names."""
    since = {name: now - timedelta(days=days) for name, days in events.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            f"{FIND} ORDER BY e.ts DESC, e.message_id LIMIT %s",
            [list(since), list(since.values()), [profile_id], min(since.values()), most],
        )
        return [
            (item, name, clock.to_millis(ts))
            for _, name, properties, ts in cursor
            for item in extract.items(name, msgspec.json.decode(properties))
        ]
