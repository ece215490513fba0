"""Acknowledged events that cannot be stored: kept where somebody sees them, to be tried again."""

from datetime import datetime

import msgspec

from engage.collector import formats, stream
from engage.collector.formats.event import Batch, word
from engage.collector.models import Quarantined
from engage.collector.stream import Entry
from engage.lib.clock import from_millis, to_millis
from engage.lib.errors import EngageError
from engage.profiles.identity import list_identities

LONGEST_ERROR = 4_000


def keep_entry(entry: Entry, *, error: str) -> None:
    """Keep a whole body."""
    keep(entry, form=entry.form, body=entry.body, error=error)


def keep_event(entry: Entry, batch: Batch, *, place: int, message_id: str, error: str) -> None:
    """Keep one event of a body, as a body of its own."""
    event = msgspec.structs.replace(batch.events[place], message_id=message_id)
    body = msgspec.json.encode(
        {"batch": [event], "sentAt": batch.sent_at, "context": batch.context}
    )
    keep(entry, form="segment/batch", body=body, error=error)


def keep(entry: Entry, *, form: str, body: bytes, error: str) -> None:
    Quarantined.objects.create(
        entry_id=entry.id,
        source_id=entry.source_id,
        received_at=from_millis(entry.received_ms),
        form=form,
        seed=entry.seed,
        body=body,
        error=error.replace("\x00", "")[:LONGEST_ERROR],
    )


def erase(profile_id: int) -> None:
    """Delete what is kept here of a person, known by their names. Safe to run twice."""
    names = {value for _, value in list_identities([profile_id]).get(profile_id, ())}
    for row in Quarantined.objects.only("form", "body").iterator(chunk_size=100):
        if names & names_in(row):
            row.delete()


def names_in(row: Quarantined) -> set[str]:
    """The ids in a kept body; none when it cannot be read."""
    try:
        events = formats.parse(bytes(row.body), form=row.form).events
    except EngageError:
        return set()
    return {word(name) for event in events for name in (event.user_id, event.anonymous_id)}


def replay(row: Quarantined, *, now: datetime) -> None:
    """Put it into the stream again, as old as it was. Safe to run twice: events are stored once.

    Raises
    ------
    QueueFull, Unavailable
    """
    stream.add(
        source_id=row.source_id,
        received_ms=to_millis(row.received_at),
        form=row.form,
        body=bytes(row.body),
        seed=row.seed,
    )
    row.replayed_at = now
    row.save(update_fields=["replayed_at"])
