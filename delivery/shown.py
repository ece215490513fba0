"""Which products people were shown by messages of any channel, and which they clicked.

A message shows its products when the provider took it, an in-app message when the app says that it
was on the screen. Test messages show nothing that counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
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


class Record(msgspec.Struct, gc=False):
    """What counts of an entry of `Message.items`."""

    item: str = ""
    price: str | None = None  # as cards have it; earlier releases did not write it


decode: Final = msgspec.json.Decoder(list[Record]).decode


class Showings(NamedTuple):
    """How often one product was shown to one person."""

    times: list[tuple[int, float | None]]  # ms, newest first, and the price; None: not known
    clicked_ms: int  # the last click; 0 for none


def list_shown(
    profile_ids: Sequence[int | None], *, at_least: int = 1, now: datetime
) -> list[Mapping[str, Showings]]:
    """By product, for each of the profiles; nobody known was shown nothing.

    The devices of one run that got the same product are one showing. What was shown less than
    `at_least` times may be left out.
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
    by_profile: dict[int, list[tuple[str, int, list[Record]]]] = {one: [] for one in known}
    for profile, run, ms, items in sorted(messages, key=itemgetter(2), reverse=True):
        by_profile[profile].append((run, ms, decode(items)))
    found = {
        profile: {
            item: Showings(times, clicks.get((profile, item), 0))
            for item, times in list_times(told, at_least=at_least).items()
        }
        for profile, told in by_profile.items()
    }
    return [found[one] if one is not None else {} for one in profile_ids]


def list_times(
    told: Sequence[tuple[str, int, Sequence[Record]]], *, at_least: int
) -> dict[str, list[tuple[int, float | None]]]:
    """When each product was shown to one person; `told` is run, ms and items, newest first."""
    count = Counter(record.item for _, _, records in told for record in records)
    times: dict[str, list[tuple[int, float | None]]] = {}
    runs: dict[str, set[str]] = {}
    for run, ms, records in told:
        for record in records:
            item = record.item
            if not item or count[item] < at_least or run in runs.setdefault(item, set()):
                continue
            runs[item].add(run)
            times.setdefault(item, []).append((ms, float(record.price) if record.price else None))
    return times


def describe(items: object) -> str:
    """A message's record in one line: products, slots that found too few, why it was aborted."""
    records = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    shown = ", ".join(str(one["item"]) for one in records if one.get("item"))
    short = [
        f"{one.get('slot')}: {one.get('found')} of {one.get('needed')} needed"
        for one in records
        if one.get("short")
    ]
    aborted = [f"aborted: {one['aborted']}" for one in records if one.get("aborted")]
    return " · ".join(part for part in (shown, *short, *aborted) if part)
