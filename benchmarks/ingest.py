"""Storing events against COPY of the same rows into the same table with its indexes.

Both in transactions of 5,000, in turns, one connection each. The yardstick writes the event rows
alone; storing also keeps dedupe ids, identities, profiles, devices, touches and the history.
"""

import gc
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from django.db import connection, transaction

from benchmarks.rows import Row
from engage.lib.bulk import copy_lines
from engage.lib.ids import uuid7
from engage.profiles import event_rows, partitions
from engage.profiles.events import StoredEvent, filed_ms
from engage.profiles.store import store_events

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
PEOPLE = 200_000  # with a device, a locale and fifty touches each
ACTIVE = 10_000  # on a day
EVENTS = 100_000
AT_ONCE = 5_000
PHONE = 100  # events in one body of a phone
ROUNDS = 3
GOALS = {"phone-like": 0.5, "mixed": 0.33}
SEED = """
INSERT INTO profiles_profile (id, attributes, stamps, first_seen, last_seen, created_at)
SELECT n, '{}', '{}', now(), now(), now() FROM generate_series(1, %(people)s) n;
INSERT INTO profiles_identity (kind, value, profile_id, claimed_message_id, claimed_by, created_at)
SELECT 'user', 'user-' || n, n, '', '', now() FROM generate_series(1, %(people)s) n;
INSERT INTO profiles_device (profile_id, device_id, platform, token, token_ms, token_message_id,
    model, os_version, app_version, described_ms, last_seen)
SELECT n, 'device-' || n, 'ios', '', 0, '', 'iPhone17,1', '19.1', '4.2.0', 0, '2026-10-01'
FROM generate_series(1, %(people)s) n;
INSERT INTO profiles_activity (profile_id, touches)
SELECT n, decode(repeat('019a450000000000000000' || '0000000100000001', 50), 'hex')
FROM generate_series(1, %(people)s) n;
SELECT setval(pg_get_serial_sequence('profiles_profile', 'id'), %(people)s);
CREATE TABLE bench_event (LIKE profiles_event INCLUDING ALL) PARTITION BY RANGE (ts);
CREATE TABLE bench_event_1 PARTITION OF bench_event
    FOR VALUES FROM ('2026-10-01') TO ('2026-11-01');
CREATE TABLE bench_event_2 PARTITION OF bench_event
    FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
"""


def run() -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(SEED, {"people": PEOPLE})
        cursor.execute("VACUUM ANALYZE")
    partitions.ensure({(2026, 10), (2026, 11)})
    rng = random.Random(7)
    rows = [measure(shape, rng) for shape in GOALS]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_event")
        cursor.execute("TRUNCATE profiles_profile, profiles_event, profiles_dedupeid CASCADE")
    return rows


def measure(shape: str, rng: random.Random) -> Row:
    stored, copied = [], []
    for day in range(ROUNDS):
        batches = make_batches(shape, rng, day)
        lines = [lines_of(batch) for batch in batches]
        gc.freeze()  # a consumer does not hold a day of events in memory
        copied.append(timed(copy, lines))
        stored.append(timed(store, batches))
    value, yardstick = EVENTS / median(stored), EVENTS / median(copied)
    return Row(
        name=f"ingest, {shape}",
        value=value,
        unit="events/s",
        yardstick_name="COPY of the same rows, same indexes",
        yardstick_value=yardstick,
        ratio=value / yardstick,
        goal=GOALS[shape],
    )


def make_batches(shape: str, rng: random.Random, day: int) -> list[list[StoredEvent]]:
    """One day of events: phones that send a hundred each, or all active people mixed."""
    active = rng.sample(range(1, PEOPLE + 1), ACTIVE)
    if shape == "phone-like":
        people = [person for person in active[: EVENTS // PHONE] for _ in range(PHONE)]
    else:
        people = rng.choices(active, k=EVENTS)
    midnight = datetime(2026, 10, 20 + day, tzinfo=UTC)
    events = [
        make_event(person, midnight + timedelta(seconds=at / 2), rng)
        for at, person in enumerate(people)
    ]
    return [events[at : at + AT_ONCE] for at in range(0, len(events), AT_ONCE)]


def make_event(person: int, sent: datetime, rng: random.Random) -> StoredEvent:
    return StoredEvent(
        source_id=1,
        message_id=str(uuid7(int(sent.timestamp() * 1000))),
        kind="track",
        name=rng.choice(("Product Viewed", "Product Added", "Product Clicked")),
        user_id=f"user-{person}",
        ts=sent,
        received_at=sent,
        properties={
            "product_id": f"sku-{rng.randrange(20_000)}",
            "category": "shoes",
            "price": 49.9,
            "position": rng.randrange(20),
        },
        context={
            "library": {"name": "engage-ios", "version": "2.4.1"},
            "locale": "en-GB",
            "device": {"id": f"device-{person}", "type": "ios", "model": "iPhone17,1"},
            "os": {"name": "iOS", "version": "19.1"},
            "app": {"version": "4.2.0"},
        },
    )


def lines_of(batch: Sequence[StoredEvent]) -> list[str]:
    owners = [int(event.user_id.removeprefix("user-")) for event in batch]
    return event_rows.lines_of(batch, [filed_ms(event) for event in batch], owners)


def copy(batches: Sequence[list[str]]) -> None:
    for lines in batches:
        with transaction.atomic(), connection.cursor() as cursor:
            copy_lines(cursor, lines, table="bench_event", columns=event_rows.COLUMNS)


def store(batches: Sequence[list[StoredEvent]]) -> None:
    for batch in batches:
        store_events(batch, now=NOW)


def timed(work: Callable[[Any], None], argument: Any) -> float:
    start = time.perf_counter()
    work(argument)
    return time.perf_counter() - start
