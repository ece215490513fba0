"""What was left to chance in messages, and whether it was clicked.

Every product says in `Message.items` how likely it was to stand there ("p", 1 where nothing was
left to chance); those of open places also from which arm they were drawn ("arm") and how likely
each arm alone would have shown it ("arms"). Messages count that a provider accepted; test sends
and the clicks of machines do not.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from django.db import connection

CLICKED: Final = """
EXISTS (SELECT FROM delivery_interaction i
        WHERE i.profile_id = m.profile_id AND i.message_id = m.id
          AND i.kind = 'click' AND NOT i.machine AND i.item_id = shown ->> 'item')
"""
DRAWN: Final = """
FROM delivery_message m CROSS JOIN jsonb_array_elements(m.items) AS shown
WHERE m.campaign_id = ANY(%s) AND m.state = 'accepted' AND m.kind <> 'test'
  AND m.created_at >= %s AND shown ? 'arms'
"""
COUNTS: Final = f"""
SELECT m.variant_id, shown ->> 'slot', shown ->> 'arm', count(*),
  count(*) FILTER (WHERE {CLICKED})
{DRAWN} GROUP BY 1, 2, 3
"""
ROWS: Final = f"""
SELECT m.profile_id, m.variant_id, shown ->> 'slot', (shown ->> 'p')::float8,
  (shown -> 'arms')::text, {CLICKED}
{DRAWN} ORDER BY m.created_at DESC, m.id DESC LIMIT %s
"""
CHUNK: Final = 10_000

Place = tuple[int, str]  # variant, slot


class Count(NamedTuple):
    place: Place
    arm: str
    shown: int
    clicked: int


class Drawn(NamedTuple):
    """One product at one place of one message."""

    profile_id: int
    place: Place
    p: float
    arms: Mapping[str, float]
    clicked: bool


def count(campaign_ids: Collection[int], *, since: datetime) -> list[Count]:
    """Per variant, slot and arm."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [list(campaign_ids), since])
        return [Count((row[0], row[1]), *row[2:]) for row in cursor.fetchall()]


def read(campaign_ids: Collection[int], *, since: datetime, most: int) -> Iterator[Drawn]:
    """One by one, the newest message first, at most so many."""
    decode = msgspec.json.Decoder(dict[str, float]).decode
    with connection.chunked_cursor() as cursor:
        cursor.execute(ROWS, [list(campaign_ids), since, most])
        while rows := cursor.fetchmany(CHUNK):
            for profile_id, variant_id, slot, p, arms, clicked in rows:
                yield Drawn(profile_id, (variant_id, slot), p, decode(arms), clicked)
