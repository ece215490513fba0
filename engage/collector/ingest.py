"""The consumer that moves events from the stream into PostgreSQL.

Parse, store, and only then take the entries off. What is killed on the way is done again; the
message ids keep it from being stored twice.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import redis
from django.conf import settings
from django.db import connection

from engage.collector import stream
from engage.collector.storing import (
    DatabaseAway,
    Work,
    in_transactions,
    is_away,
    parse_entries,
    store_works,
)
from engage.profiles import history

logger = logging.getLogger(__name__)

BLOCK_MS: Final = 500  # so long an idle consumer waits for entries, and may take to stop
LOOK_BACK_SECONDS: Final = 1.0  # how often unfinished entries are looked for
OTHERS_IDLE_MS: Final = 30_000  # then the consumer that began with an entry is taken for dead
FIRST_ENTRIES: Final = 100
MOST_ENTRIES: Final = 1_000  # read at once; each may have to be done again alone
MOST_BYTES: Final = 32_000_000
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 10.0


@dataclass(slots=True)
class Consumer:
    """One ingest process, by the name under which Redis knows what it began with."""

    name: str
    stop: threading.Event = field(default_factory=threading.Event)
    entries_at_once: int = FIRST_ENTRIES
    looked_back: float = float("-inf")


def run(consumer_name: str, stop: threading.Event) -> None:
    """Ingest until `stop` is set. What was begun is finished first."""
    consumer = Consumer(consumer_name, stop)
    pause = Pause(stop)
    while not stop.is_set():
        try:
            if not ingest_next(consumer, block_ms=BLOCK_MS):
                append_history()
            pause.end()
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as exc:
            logger.warning("the queue is away", extra={"error": str(exc)})
            pause.wait()
        except DatabaseAway as exc:
            logger.warning("the database is away", extra={"error": str(exc)})
            connection.close()
            pause.wait()


def ingest_once(consumer_name: str = "once") -> int:
    """Store what waits now, unfinished entries of this consumer included; how many events.

    Raises
    ------
    DatabaseAway, redis.RedisError
    """
    unfinished = stream.take_over(
        consumer_name, own_idle_ms=lambda deliveries: 0, idle_ms=OTHERS_IDLE_MS
    )
    total = sum(store_works([work]) for work in parse_entries(unfinished))
    while entries := stream.read_new(consumer_name, count=FIRST_ENTRIES):
        total += sum(map(store_works, in_transactions(list(parse_entries(entries)))))
    append_history()
    return total


def ingest_next(consumer: Consumer, *, block_ms: int | None) -> int:
    """Unfinished entries that are due, then new ones; how many events were dealt with."""
    total = 0
    if time.monotonic() >= consumer.looked_back + LOOK_BACK_SECONDS:
        consumer.looked_back = time.monotonic()
        for entry in stream.take_over(
            consumer.name, own_idle_ms=retry_after_ms, idle_ms=OTHERS_IDLE_MS
        ):
            total += finish(list(parse_entries([entry])), consumer)
    entries = stream.read_new(consumer.name, count=consumer.entries_at_once, block_ms=block_ms)
    works = list(parse_entries(entries))
    if works:
        consumer.entries_at_once = next_count(works)
    for some in in_transactions(works):
        total += finish(some, consumer)
        append_history()
    return total


def retry_after_ms(deliveries: int) -> int:
    """An entry that failed is tried again after ½, 1, 2, 4 seconds."""
    return int(250 * 2 ** min(deliveries, 10))


def next_count(works: Sequence[Work]) -> int:
    """How many entries to read next, so that a few transactions and megabytes come."""
    events = max(1, sum(len(work.events) for work in works))
    size = max(1, sum(len(work.entry.body) for work in works))
    by_events = 2 * settings.INGEST_MAX_EVENTS * len(works) // events
    return max(10, min(MOST_ENTRIES, by_events, MOST_BYTES * len(works) // size))


def finish(works: Sequence[Work], consumer: Consumer) -> int:
    """Store the entries; while the database is away, keep them and try again until it is back."""
    pause = Pause(consumer.stop)
    while True:
        try:
            return store_works(works)
        except DatabaseAway as exc:
            logger.warning("the database is away", extra={"error": str(exc)})
            connection.close()
            pause.wait()
            if consumer.stop.is_set():
                return 0  # they are pending in Redis; the next consumer takes them over
            stream.hold(consumer.name, [work.entry for work in works])


def append_history() -> None:
    """Give stored events to the columnar history. It can be made anew; ingest goes on without."""
    try:
        history.append_final_blocks()
    except Exception as exc:
        if is_away(exc):
            connection.close()
            return
        logger.exception("the columnar history could not be continued")


class Pause:
    """Waits that grow while nothing gets better."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._seconds = FIRST_PAUSE_SECONDS

    def wait(self) -> None:
        self._stop.wait(self._seconds)
        self._seconds = min(2 * self._seconds, LONGEST_PAUSE_SECONDS)

    def end(self) -> None:
        self._seconds = FIRST_PAUSE_SECONDS
