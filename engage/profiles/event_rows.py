"""The rows of a batch: the events themselves, the touches of products, the history's columns."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from django.conf import settings

from engage.lib import clock
from engage.lib.bulk import copy_lines, escape
from engage.profiles import activity, extract, history_blocks, terms
from engage.profiles.events import StoredEvent, filed_properties

SECONDS: Final = [f"{ms // 1000:02d}.{ms % 1000:03d}+00" for ms in range(60_000)]
TABLE: Final = "profiles_event"
COLUMNS: Final = (
    "profile_id, ts, id, source_id, message_id, kind, name, user_id, anonymous_id, properties,"
    " context, received_at"
)


def write(
    cursor: Any,
    events: Sequence[StoredEvent],
    times: Sequence[int],
    digests: Sequence[str],
    owners: Sequence[int],
) -> None:
    """Write everything that has a row per event or per product in it."""
    copy_lines(cursor, lines_of(events, times, owners), table=TABLE, columns=COLUMNS)
    items = [
        extract.items(event.name, event.properties) if event.kind != "identify" else []
        for event in events
    ]
    item_numbers = terms.numbers(cursor, "item", {item for found in items for item in found})
    event_numbers = terms.numbers(cursor, "event", {event.name for event in events})
    numbered = [[item_numbers[item] for item in found] for found in items]
    names = [event_numbers[event.name] for event in events]
    activity.add(cursor, records_of(times, digests, owners, numbered, names))
    history_blocks.add(cursor, history_blocks.columns_of(times, owners, numbered, names))


def lines_of(
    events: Sequence[StoredEvent], times: Sequence[int], owners: Sequence[int]
) -> list[str]:
    """The events as lines for COPY."""
    encode = msgspec.json.encode
    noise = os.urandom(9 * len(events)).hex()
    received_at, received = None, ""
    context: Mapping[str, Any] | None = None
    written = b""
    lines = []
    for at, (event, ts_ms, owner) in enumerate(zip(events, times, owners, strict=True)):
        # Events of one body share these.
        if event.received_at is not received_at:
            received_at = event.received_at
            received = spell(int(received_at.timestamp() * 1000))
        if event.context is not context:
            context = event.context
            written = encode(context)
        words = (event.message_id, event.kind, event.name, event.user_id, event.anonymous_id)
        named = "\t".join(words)
        if "\\" in named or "\n" in named or "\r" in named or named.count("\t") != 4:
            named = "\t".join(map(escape, words))
        properties = event.properties if event.kind == "track" else filed_properties(event)
        # JSON has no raw tab or line end; only its backslashes mean something to COPY.
        documents = (encode(properties) + b"\t" + written).replace(b"\\", b"\\\\").decode()
        noisy = noise[18 * at : 18 * at + 18]
        lines.append(
            # The id is a UUID of version 7 from the event's own time: the index grows at its end.
            f"{owner}\t{spell(ts_ms)}\t{ts_ms:012x}7{noisy[:3]}8{noisy[3:]}"
            f"\t{event.source_id}\t{named}\t{documents}\t{received}"
        )
    return lines


def spell(ts_ms: int) -> str:
    """The time as SQL writes it, to the millisecond."""
    minute, rest = divmod(ts_ms, 60_000)
    return spell_minute(minute) + SECONDS[rest]


@lru_cache(maxsize=10_000)
def spell_minute(minute: int) -> str:
    return f"{clock.from_millis(minute * 60_000):%Y-%m-%d %H:%M:}"


def records_of(
    times: Sequence[int],
    digests: Sequence[str],
    owners: Sequence[int],
    items: Sequence[Sequence[int]],
    names: Sequence[int],
) -> dict[int, list[bytes]]:
    """The touches of each profile, as `activity` keeps them."""
    records: dict[int, list[bytes]] = {}
    rows = zip(times, digests, owners, items, names, strict=True)
    for ts_ms, digest, owner, found, name in rows:
        if found:
            mark = bytes.fromhex(digest[-8:])
            own = records.setdefault(owner, [])
            for place, item in enumerate(found[: settings.RECENT_ITEMS]):
                own.append(activity.record(ts_ms, mark, place, item, name))
    return records
