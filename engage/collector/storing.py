"""Storing the events of several entries at once, so that a bad event spoils nothing but itself."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import psycopg2
from django.conf import settings
from django.db import InterfaceError

from engage.collector import filing, formats, quarantine, stream
from engage.collector.formats.event import Batch
from engage.collector.stream import Entry
from engage.lib import clock, failpoints
from engage.profiles import store
from engage.profiles.events import StoredEvent

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 5
# The server is there, but stopping, starting, full or a copy that cannot be written to.
AWAY_CLASSES: Final = frozenset({"08", "53", "57", "58"})
READ_ONLY: Final = "25006"


class Work(NamedTuple):
    """An entry and its events, ready for the store."""

    entry: Entry
    batch: Batch
    events: list[StoredEvent]


class Failure(NamedTuple):
    """One event that the store refused, by its place in the list given to it."""

    place: int
    error: Exception


class DatabaseAway(Exception):
    """The database does not take anything at the moment; no entry is to blame."""


def parse_entries(entries: Iterable[Entry]) -> Iterator[Work]:
    """Entries with their events; those that cannot be worked on go to the quarantine."""
    for entry in entries:
        if entry.deliveries > MAX_ATTEMPTS:
            give_up(entry, f"Ingest began with it {MAX_ATTEMPTS} times and never finished.")
            continue
        try:
            batch = formats.parse(entry.body, form=entry.form)
            events = filing.file_events(
                batch,
                source_id=entry.source_id,
                received_ms=entry.received_ms,
                seed=entry.seed,
            )
        except Exception as exc:
            logger.exception("an accepted body cannot be read", extra={"entry": entry.id})
            give_up(entry, f"The body cannot be read: {exc}")
            continue
        yield Work(entry, batch, events)


def in_transactions(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Runs of entries with at most INGEST_MAX_EVENTS events, or one entry with more."""
    run: list[Work] = []
    count = 0
    for work in works:
        if run and count + len(work.events) > settings.INGEST_MAX_EVENTS:
            yield run
            run, count = [], 0
        run.append(work)
        count += len(work.events)
    if run:
        yield run


def store_works(works: Sequence[Work]) -> int:
    """Store the events and take their entries off; a bad event keeps nothing but its own entry.

    Raises
    ------
    DatabaseAway
        Some may be stored and none was taken off. Safe to run again.
    """
    if not works:
        return 0
    events = [event for work in works for event in work.events]
    failures = store_what_can_be(events)
    settled = works if not failures else settle(works, failures)
    failpoints.reach("C5")
    stream.remove([work.entry for work in settled])
    return len(events) - len(failures)


def store_what_can_be(events: Sequence[StoredEvent], *, first: int = 0) -> list[Failure]:
    """Store all at once, else by halves, so that in the end only the bad ones are left."""
    try:
        store.store_events(events, now=clock.now())
        return []
    except Exception as exc:
        if is_away(exc):
            raise DatabaseAway(str(exc)) from exc
        if len(events) == 1:
            return [Failure(first, exc)]
    half = len(events) // 2
    return [
        *store_what_can_be(events[:half], first=first),
        *store_what_can_be(events[half:], first=first + half),
    ]


def settle(works: Sequence[Work], failures: Sequence[Failure]) -> list[Work]:
    """The entries that are done with. One with a bad event waits, and at last gives it up."""
    settled: list[Work] = []
    start = 0
    for work in works:
        end = start + len(work.events)
        bad = [failure for failure in failures if start <= failure.place < end]
        if not bad:
            settled.append(work)
        elif work.entry.deliveries >= MAX_ATTEMPTS:
            for failure in bad:
                quarantine_event(work, place=failure.place - start, error=failure.error)
            settled.append(work)
        else:
            logger.warning(
                "events cannot be stored, they will be tried again",
                extra={"entry": work.entry.id, "events": len(bad), "error": kind_of(bad[0].error)},
            )
        start = end
    return settled


def quarantine_event(work: Work, *, place: int, error: Exception) -> None:
    logger.error(
        "an event goes to quarantine",
        extra={"entry": work.entry.id, "error": kind_of(error)},
    )
    message_id = work.events[place].message_id
    guarded(
        lambda: quarantine.keep_event(
            work.entry,
            work.batch,
            place=place,
            message_id=message_id,
            error=f"{type(error).__name__}: {error}",
        )
    )


def kind_of(error: Exception) -> str:
    """For the log: the message may quote the event, and so the person."""
    return f"{type(error).__name__} from {type(error.__cause__).__name__}"


def give_up(entry: Entry, error: str) -> None:
    guarded(lambda: quarantine.keep_entry(entry, error=error))
    stream.remove([entry])


def guarded(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception as exc:
        if is_away(exc):
            raise DatabaseAway(str(exc)) from exc
        raise


def is_away(exc: BaseException) -> bool:
    """Whether the database, not the events, is the reason. COPY raises the driver's own errors."""
    error: Any = exc if isinstance(exc, psycopg2.Error) else exc.__cause__
    if isinstance(exc, InterfaceError) or isinstance(error, psycopg2.InterfaceError):
        return True
    if not isinstance(error, psycopg2.DatabaseError):
        return False
    if error.pgcode is None:  # no answer of the server's, so the connection broke
        return not isinstance(error, psycopg2.DataError | psycopg2.ProgrammingError)
    return error.pgcode[:2] in AWAY_CLASSES or error.pgcode == READ_ONLY
