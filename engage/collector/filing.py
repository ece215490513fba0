"""An event as it was accepted becomes one that the store takes."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from engage.collector import times
from engage.collector.formats.event import Batch, Event, word
from engage.lib.clock import from_millis
from engage.lib.ids import uuid7
from engage.profiles.events import StoredEvent

NOTHING: Final[Mapping[str, Any]] = {}


def new_seed(received_ms: int) -> str:
    """What the message ids are made from that a body lacks."""
    return uuid7(received_ms).hex


def mint_id(seed: str, place: int) -> str:
    """The same id for the same event each time its body is read; still a UUID of version 7."""
    return str(uuid.UUID(int=int(seed, 16) ^ place))


def time_of(event: Event, *, sent_at: int | None, received_ms: int) -> int | None:
    """By our clock, in ms. None for what cannot be read or lies more than a day ahead.

    Such an event, and one that states no time, is filed under its arrival.
    """
    said = event.original_timestamp or event.timestamp
    if not said:
        return received_ms
    stated = times.parse(said)
    if stated is None:
        return None
    sent = times.parse(event.sent_at) if event.sent_at else sent_at
    millis = stated if sent is None else received_ms - (sent - stated)
    return None if millis > received_ms + times.AHEAD_MS else max(millis, 0)


def file_events(batch: Batch, *, source_id: int, received_ms: int, seed: str) -> list[StoredEvent]:
    """All events that were taken from one body."""
    received_at = from_millis(received_ms)
    sent_at = times.parse(batch.sent_at)
    filed = []
    for place, event in enumerate(batch.events):
        millis = time_of(event, sent_at=sent_at, received_ms=received_ms)
        kind = event.type or ""
        filed.append(
            StoredEvent(
                source_id=source_id,
                message_id=word(event.message_id) or mint_id(seed, place),
                kind=kind,
                name=word(event.event) if kind == "track" else kind,
                user_id=word(event.user_id),
                anonymous_id=word(event.anonymous_id),
                ts=received_at if millis is None else from_millis(millis),
                received_at=received_at,
                properties=properties_of(event, kind),
                context=context_of(event, batch.context, misdated=millis is None),
                previous_id=word(event.previous_id) if kind == "alias" else "",
                traits=traits_of(event) if kind == "identify" else NOTHING,
            )
        )
    return filed


def properties_of(event: Event, kind: str) -> Mapping[str, Any]:
    if kind == "track":
        return event.properties or NOTHING
    said = {"name": event.name, "category": event.category}
    if kind == "group":
        said = {"group_id": word(event.group_id), **(event.traits or {})}
    named = {name: value for name, value in said.items() if value is not None}
    return {**named, **(event.properties or {})}


def traits_of(event: Event) -> Mapping[str, Any]:
    """Some clients put the traits of an identify into its context."""
    inside = (event.context or {}).get("traits")
    return {**inside, **(event.traits or {})} if isinstance(inside, dict) else event.traits or {}


def context_of(
    event: Event, said_for_all: Mapping[str, Any] | None, *, misdated: bool
) -> Mapping[str, Any]:
    """What the batch says for all events, what the event says itself, and our own note."""
    context = event.context or NOTHING
    if said_for_all:
        context = {**said_for_all, **context}
    if misdated:
        context = {
            **context,
            "engage": {"stated_time": event.original_timestamp or event.timestamp},
        }
    return context
