"""The hand-over to the columnar history: one row of packed columns per transaction."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg2
from numpy.typing import NDArray

STALE: Final = -1  # as `rows`: stored events changed their profile, the files must be rebuilt

ADD: Final = "INSERT INTO profiles_historyblock (rows, payload) VALUES (%s, %s)"


class Columns(NamedTuple):
    """One row per (event, item); an event without items is one row of item 0."""

    profile: NDArray[np.int64]
    item: NDArray[np.int32]
    event: NDArray[np.int32]
    ts_ms: NDArray[np.int64]


DTYPES: Final[tuple[np.dtype[Any], ...]] = tuple(map(np.dtype, ("<i8", "<i4", "<i4", "<i8")))


def pack(columns: Columns) -> bytes:
    pairs = zip(columns, DTYPES, strict=True)
    return b"".join(np.asarray(column, dtype).tobytes() for column, dtype in pairs)


def unpack(payload: bytes, *, rows: int) -> Columns:
    columns, at = [], 0
    for dtype in DTYPES:
        columns.append(np.frombuffer(payload, dtype, count=rows, offset=at))
        at += rows * dtype.itemsize
    return Columns._make(columns)


def columns_of(
    times: Sequence[int],
    owners: Sequence[int],
    items: Sequence[Sequence[int]],
    names: Sequence[int],
) -> Columns:
    """One row per event and product; item 0 where an event has none."""
    counts = [len(found) or 1 for found in items]
    return Columns(
        profile=np.repeat(np.array(owners, np.int64), counts),
        item=np.array([item for found in items for item in (found or (0,))], np.int32),
        event=np.repeat(np.array(names, np.int32), counts),
        ts_ms=np.repeat(np.array(times, np.int64), counts),
    )


def add(cursor: Any, columns: Columns) -> None:
    """Leave the rows of this transaction for the writer of the history."""
    if len(columns.profile):
        cursor.execute(ADD, [len(columns.profile), psycopg2.Binary(pack(columns))])


def mark_stale(cursor: Any) -> None:
    cursor.execute(ADD, [STALE, psycopg2.Binary(b"")])
