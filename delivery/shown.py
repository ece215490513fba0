"""Which products people were shown by messages of any channel, and which they clicked.

A message shows its products when the provider took it, an in-app message when the app says that it
was on the screen. Test messages show nothing that counts.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from engage.lib.clock import to_millis

MEMORY_DAYS: Final = 90
MOST_MESSAGES: Final = 200  # and clicks, of one person, the newest

# Ids begin with their time, so each person's rows are one short range of the primary key. The
# LIMIT bounds them, and keeps the planner from joining whole tables.
MESSAGES: Final = """
WITH RECURSIVE owner (asked, id) AS (
  SELECT id, id FROM unnest(%(profiles)s::bigint[]) AS p (id)
  UNION
  SELECT owner.asked, m.loser_id FROM owner JOIN profiles_merge m ON m.winner_id = owner.id
)
SELECT owner.asked, coalesce(m.run_id::text, m.id::text),
  floor(extract(epoch FROM coalesce(m.finished_at, m.created_at)) * 1000)::bigint, m.items::text
FROM owner CROSS JOIN LATERAL (
  SELECT * FROM delivery_message
  WHERE profile_id = owner.id AND id >= %(oldest)s AND state = 'accepted' AND kind <> 'test'
  ORDER BY id DESC LIMIT %(most)s) AS m
"""
CLICKS: Final = """
WITH RECURSIVE owner (asked, id) AS (
  SELECT id, id FROM unnest(%(profiles)s::bigint[]) AS p (id)
  UNION
  SELECT owner.asked, m.loser_id FROM owner JOIN profiles_merge m ON m.winner_id = owner.id
)
SELECT owner.asked, i.item_id, max(floor(extract(epoch FROM i.ts) * 1000)::bigint)
FROM owner CROSS JOIN LATERAL (
  SELECT item_id, ts FROM delivery_interaction
  WHERE profile_id = owner.id AND id >= %(oldest)s
    AND kind = 'click' AND item_id <> '' AND NOT machine
  ORDER BY id DESC LIMIT %(most)s) AS i
GROUP BY owner.asked, i.item_id
"""
decode: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Showings(NamedTuple):
    """How often one product was shown to one person."""

    times: list[tuple[int, float | None]]  # ms, newest first, and the price; None: not known
    clicked_ms: int  # the last click; 0 for none


def list_shown(
    profile_ids: Sequence[int | None], *, now: datetime
) -> list[Mapping[str, Showings]]:
    """By product, for each of the profiles; nobody known was shown nothing.

    The devices of one run that got the same product are one showing.
    """
    known = sorted({one for one in profile_ids if one is not None})
    if not known:
        return [{} for _ in profile_ids]
    asked: dict[str, Any] = {
        "profiles": known,
        "oldest": UUID(int=to_millis(now - timedelta(days=MEMORY_DAYS)) << 80),
        "most": MOST_MESSAGES,
    }
    with connection.cursor() as cursor:
        cursor.execute(MESSAGES, asked)
        messages = cursor.fetchall()
        cursor.execute(CLICKS, asked)
        clicks = {(profile, item): ms for profile, item, ms in cursor.fetchall()}
    # By product and run, so that a run counts once.
    times: dict[int, dict[str, dict[str, tuple[int, float | None]]]] = {one: {} for one in known}
    for profile, run, ms, items in messages:
        for record in decode(items):
            if item := record.get("item"):
                once = times[profile].setdefault(item, {})
                once[run] = (ms, as_price(record.get("price")))
    found = {
        profile: {
            item: Showings(
                sorted(once.values(), key=lambda time: -time[0]), clicks.get((profile, item), 0)
            )
            for item, once in products.items()
        }
        for profile, products in times.items()
    }
    return [found.get(one, {}) if one is not None else {} for one in profile_ids]


def as_price(text: object) -> float | None:
    """Of the text a card has; messages of older releases have none."""
    try:
        return float(text) if isinstance(text, str) else None
    except ValueError:
        return None


def describe(items: object) -> str:
    """The products of a message's record, and which slots found too few, in one line."""
    records = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    shown = ", ".join(str(one["item"]) for one in records if one.get("item"))
    short = [
        f"{one.get('slot')}: {one.get('found')} of {one.get('needed')} needed"
        for one in records
        if one.get("short")
    ]
    return " · ".join(part for part in (shown, *short) if part)
