"""The lists of products that messages showed, with what was known of each, and its clicks.

A slot writes beside each product what was known of it ("f", see `recommendations.features`).
Messages count that a provider accepted, in-app messages that the app had on the screen; test sends
and the clicks of machines do not.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from django.db import connection

ROWS: Final = """
SELECT m.variant_id, floor(extract(epoch FROM m.created_at) * 1000)::bigint, m.items::text, ARRAY(
  SELECT DISTINCT i.item_id FROM delivery_interaction i
  WHERE i.profile_id = m.profile_id AND i.message_id = m.id
    AND i.kind = 'click' AND NOT i.machine AND i.item_id <> '')
FROM delivery_message m
WHERE m.campaign_id = ANY(%s) AND m.state = 'accepted' AND m.kind <> 'test'
  AND m.created_at >= %s AND m.items @? '$[*].f'
ORDER BY m.created_at DESC, m.id DESC
"""
CHUNK: Final = 5_000


class Product(msgspec.Struct, gc=False):
    """What counts of an entry of `Message.items`."""

    slot: str = ""
    item: str = ""
    rank: int = 0
    rung: str = ""
    source: str = ""
    f: Any = None


class Told(NamedTuple):
    """One message."""

    variant_id: int
    ts_ms: int
    products: list[Product]
    clicked: frozenset[str]


def read(campaign_ids: Collection[int], *, since: datetime) -> Iterator[Told]:
    """One by one, the newest message first."""
    decode = msgspec.json.Decoder(list[Product]).decode
    with connection.chunked_cursor() as cursor:
        cursor.execute(ROWS, [list(campaign_ids), since])
        while rows := cursor.fetchmany(CHUNK):
            for variant_id, ts_ms, items, clicked in rows:
                yield Told(variant_id, ts_ms, decode(items), frozenset(clicked))
