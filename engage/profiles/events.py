"""An event as the store takes it, and the time it is filed under."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from engage.lib import clock

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)  # nobody's phone is older
EARLIEST_MS: Final = clock.to_millis(EARLIEST)
LATEST_AHEAD: Final = timedelta(days=1)  # of the moment of arrival
LATEST_AHEAD_MS: Final = 86_400_000


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One acknowledged event, checked by the door it came through.

    At least one of `user_id` and `anonymous_id` is not empty. `ts` is corrected:
    received_at - (sent_at - client time). `traits` are those of an identify, `previous_id` that
    of an alias.
    """

    source_id: int
    message_id: str
    kind: str  # track, identify, page, screen, group, alias
    name: str
    ts: datetime
    received_at: datetime
    user_id: str = ""
    anonymous_id: str = ""
    properties: Mapping[str, Any] = {}
    context: Mapping[str, Any] = {}
    previous_id: str = ""
    traits: Mapping[str, Any] = {}


def stated_ms(event: StoredEvent) -> int:
    return int(event.ts.timestamp() * 1000)


def filed_ms(event: StoredEvent) -> int:
    """The event's time in ms, clamped to 1990 … a day after its arrival.

    It depends on the event alone, never on the present moment: a replay files it the same.
    """
    millis = stated_ms(event)
    if event.ts <= event.received_at and millis >= EARLIEST_MS:
        return millis
    latest = int(event.received_at.timestamp() * 1000) + LATEST_AHEAD_MS
    return max(EARLIEST_MS, min(millis, latest))


def was_clamped(event: StoredEvent, ts_ms: int) -> bool:
    """Whether the event is filed under another time than its own."""
    is_usual = event.ts <= event.received_at and ts_ms > EARLIEST_MS
    return not is_usual and stated_ms(event) != ts_ms


def filed_properties(event: StoredEvent) -> Mapping[str, Any]:
    """What the column `properties` keeps: for an identify the traits, for an alias the old id."""
    if event.kind == "identify":
        return event.traits
    if event.kind == "alias":
        return {**event.properties, "previous_id": event.previous_id}
    return event.properties
