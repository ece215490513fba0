"""Storing acknowledged events: one transaction from the dedupe ids to the notices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import psycopg2
from django.db import DataError, connection, transaction

from engage.lib import failpoints, locks
from engage.profiles import (
    dedupe,
    event_rows,
    identity,
    merging,
    notices,
    partitions,
    replay,
    statements,
)
from engage.profiles.errors import PoisonEvent
from engage.profiles.events import StoredEvent, filed_ms, was_clamped

__all__ = ["StoreReport", "StoredEvent", "store_events"]

WHO_IS_WHO: Final = "profiles: who is who"  # shared by all that store; alone to merge and erase
# Thousands of rows are found by their keys: compiling such a statement takes longer than running
# it, and reading the whole table instead only looks cheap to a planner that thinks of old disks.
PLANNING: Final = "SET LOCAL jit = off; SET LOCAL random_page_cost = 1.1"


class StoreReport(msgspec.Struct, frozen=True):
    stored: int
    duplicates: int
    refused_attributes: int = 0
    clamped: int = 0  # events whose time was out of all reason


@dataclass(slots=True)
class Batch:
    """Events with the times they are filed under and the digests of their message ids."""

    events: Sequence[StoredEvent]
    times: Sequence[int]
    digests: Sequence[str]

    def only(self, positions: Sequence[int]) -> "Batch":
        return Batch(
            [self.events[at] for at in positions],
            [self.times[at] for at in positions],
            [self.digests[at] for at in positions],
        )


def store_events(
    batch: Sequence[StoredEvent], *, now: datetime, notify: bool = True
) -> StoreReport:
    """Store a batch exactly once and join what it says into the profiles. Safe to run twice.

    Raises
    ------
    PoisonEvent
        Something in the batch cannot be stored; nothing of it was. Halve the batch, and again.
    """
    if not batch:
        return StoreReport(stored=0, duplicates=0)
    try:
        times = [filed_ms(event) for event in batch]
        whole = Batch(batch, times, [dedupe.digest_of(event.message_id) for event in batch])
        partitions.ensure(partitions.months_of(times))
        try:
            return store_once(whole, now=now, notify=notify, alone=False)
        except identity.Contended:
            return store_once(whole, now=now, notify=notify, alone=True)
    except (DataError, psycopg2.DataError, UnicodeError, OverflowError, ValueError) as exc:
        raise PoisonEvent(f"an event of {len(batch)} cannot be stored: {exc}") from exc


def store_once(batch: Batch, *, now: datetime, notify: bool, alone: bool) -> StoreReport:
    """One try. Locks are taken in one order everywhere: names, dedupe ids, profiles, terms."""
    given = len(batch.events)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PLANNING)
        lock = locks.hold if alone else locks.hold_shared
        lock(cursor, WHO_IS_WHO)
        names = read_names(cursor, batch, alone=alone)
        fresh = dedupe.keep_new(cursor, batch.events, batch.digests, now=now)
        if len(fresh) < given:
            batch = batch.only(fresh)
            names = read_names(cursor, batch, alone=alone)
        identity.add_missing(cursor, names)
        replayed = merging.settle(cursor, names)
        owners = [names.owner(event) for event in batch.events]
        said = statements.gather(batch.events, batch.times, owners)
        statements.write(cursor, said)
        event_rows.write(cursor, batch.events, batch.times, batch.digests, owners)
        if notify:
            leave_notices(cursor, batch, owners, now=now)
        replay.replay(cursor, replayed)
        failpoints.reach("C4")
    return StoreReport(
        stored=len(fresh),
        duplicates=given - len(fresh),
        refused_attributes=said.refused,
        clamped=sum(map(was_clamped, batch.events, batch.times)),
    )


def read_names(cursor: Any, batch: Batch, *, alone: bool) -> identity.Names:
    names = identity.names_of(batch.events, batch.times)
    identity.read_known(cursor, names)
    if not alone and identity.must_be_alone(names):
        raise identity.Contended
    return names


def leave_notices(cursor: Any, batch: Batch, owners: Sequence[int], *, now: datetime) -> None:
    watched = notices.list_watched(cursor)
    rows = [
        (owner, event.name, ts_ms, event.message_id, event.properties)
        for owner, event, ts_ms in zip(owners, batch.events, batch.times, strict=True)
        if event.name in watched
    ]
    notices.add(cursor, rows, now=now)
