"""The columnar history: who did what with which product when, as arrays.

A projection of the stored events, written in commit order by one writer at a time and rebuildable
at any time. Readers are the recommendation build and the segments on behaviour.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from django.conf import settings
from django.db import connection, transaction
from numpy.typing import NDArray

from engage.lib import clock, locks
from engage.profiles import extract, history_blocks, history_files, terms
from engage.profiles.commit_order import HORIZON
from engage.profiles.history_blocks import Columns
from engage.profiles.history_files import DAY_MS, Manifest

WRITER: Final = "profiles: history writer"
BLOCKS_AT_ONCE: Final = 200  # of up to some 5,000 rows each
EVENTS_AT_ONCE: Final = 50_000
PIECE: Final = 2_000_000  # rows, of 24 bytes
TRIES: Final = 5  # of reading, while rebuilds replace the files

# Blocks of transactions older than every open one: none can appear before them any more.
FINAL_BLOCKS: Final = f"""
SELECT id, rows, payload FROM profiles_historyblock WHERE txid < {HORIZON}
ORDER BY txid, id LIMIT %s
"""  # noqa: S608
# One statement, so one snapshot: the blocks it sees are those of the events it sees.
EVERYTHING: Final = """
SELECT id, NULL, NULL, NULL, NULL FROM profiles_historyblock
UNION ALL
SELECT profile_id, name, kind, floor(extract(epoch FROM ts) * 1000)::bigint,
       CASE WHEN properties ?| array['product_id', 'sku', 'products'] THEN properties::text END
FROM profiles_event
"""


@dataclass(frozen=True, slots=True)
class History:
    """The history of one installation, as a reader sees it."""

    folder: Path

    def read(self, *, since: datetime | None = None, until: datetime | None = None) -> Columns:
        """The rows with since ≤ ts < until, under the profiles as they are now.

        Merged profiles count as the one they became; erased ones are left out.

        Returns
        -------
        Columns
            profile int64, item int32, event int32, ts_ms int64; items and events are numbers of
            `terms`, item 0 stands for none. By day, inside a day in the order of commit.

        Raises
        ------
        HistoryDamaged
            The files do not match their manifest; `rebuild` makes them anew.
        """
        columns = self.read_files(since=since, until=until)
        return apply_redirects(columns, read_redirects())

    def read_backwards(self, *, most_rows: int = PIECE) -> Iterator[Columns]:
        """Everything, in pieces of whole days, the newest piece first; inside as `read` has it.

        For readers that must not hold all of it. A piece has at most `most_rows` rows, unless a
        single day has more. Each piece has the rows that there are when its turn comes.
        """
        redirects = read_redirects()
        for first, last in reversed(join_days(self.manifest().days, most_rows)):
            since, until = (clock.from_millis(day * DAY_MS) for day in (first, last + 1))
            yield apply_redirects(self.read_files(since=since, until=until), redirects)

    def read_files(self, *, since: datetime | None, until: datetime | None) -> Columns:
        """As the files have them; again, when a rebuild took them away meanwhile."""
        for remaining in reversed(range(TRIES)):
            manifest = self.manifest()
            first = None if since is None else clock.to_millis(since)
            last = None if until is None else clock.to_millis(until)
            days = [day for day in sorted(manifest.days) if overlaps(day, first, last)]
            try:
                columns = history_files.read(self.folder, manifest, days)
            except FileNotFoundError:
                if not remaining:
                    raise
                continue
            return between(columns, first, last)
        raise AssertionError("the last try returns or raises")

    def manifest(self) -> Manifest:
        return history_files.read_manifest(self.folder) or Manifest()


def open_history(data_dir: Path | None = None) -> History:
    """The history below the data folder; an absent one is empty."""
    return History(history_files.folder_of(data_dir or settings.DATA_DIR))


def join_days(rows_of: Mapping[int, int], most_rows: int) -> list[tuple[int, int]]:
    """First and last day of each piece."""
    pieces: list[tuple[int, int]] = []
    size = 0
    for day in sorted(rows_of):
        size += rows_of[day]
        if pieces and size <= most_rows:
            pieces[-1] = (pieces[-1][0], day)
        else:
            pieces.append((day, day))
            size = rows_of[day]
    return pieces


def overlaps(day: int, first: int | None, last: int | None) -> bool:
    return (first is None or (day + 1) * DAY_MS > first) and (last is None or day * DAY_MS < last)


def between(columns: Columns, first: int | None, last: int | None) -> Columns:
    if first is None and last is None:
        return columns
    keep = np.ones(len(columns.ts_ms), bool)
    if first is not None:
        keep &= columns.ts_ms >= first
    if last is not None:
        keep &= columns.ts_ms < last
    return columns if keep.all() else Columns._make(column[keep] for column in columns)


def read_redirects() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Profile numbers that stand for another one; -1: for nobody any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, merged_into FROM profiles_profile WHERE merged_into IS NOT NULL"
            " UNION ALL SELECT profile_id, -1 FROM profiles_erasure"
        )
        pairs = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def sum_redirects() -> list[int]:
    """What changes when anybody is merged or erased; nothing of them is read but an index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM profiles_erasure), count(*),"
            " coalesce(sum(merged_into), 0)::bigint"
            " FROM profiles_profile WHERE merged_into IS NOT NULL"
        )
        return list(cursor.fetchone())


def apply_redirects(
    columns: Columns, redirects: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> Columns:
    numbers, become = redirects
    if not len(numbers) or not len(columns.profile):
        return columns
    mapping = np.arange(max(int(columns.profile.max()), int(numbers.max())) + 1)
    mapping[numbers] = become
    profile = mapping[columns.profile]
    if (become >= 0).all():
        return columns._replace(profile=profile)
    keep = profile >= 0
    return Columns(profile[keep], columns.item[keep], columns.event[keep], columns.ts_ms[keep])


# --- writing -----------------------------------------------------------------------------------


def append_final_blocks(data_dir: Path | None = None) -> int:
    """Append all blocks that are final, in commit order; the number of rows.

    Exactly once, whatever is killed: the manifest names the blocks whose rows it counts, and they
    are deleted afterwards. 0 when another process is at it. Another database's files are replaced.
    """
    folder = history_files.folder_of(data_dir or settings.DATA_DIR)
    total = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            if not locks.try_hold(cursor, WRITER):
                return total
            manifest = own_manifest(cursor, folder)
            if manifest is None:
                return total + rebuild_locked(cursor, folder)
            if delete_blocks(cursor, manifest.appended):
                continue  # a crash had left them; they must be gone before the manifest changes
            cursor.execute(FINAL_BLOCKS, [BLOCKS_AT_ONCE])
            blocks = cursor.fetchall()
            if not blocks:
                return total
            total += append_blocks(folder, manifest, blocks)
            delete_blocks(cursor, manifest.appended)


def delete_blocks(cursor: Any, numbers: Sequence[int]) -> int:
    cursor.execute("DELETE FROM profiles_historyblock WHERE id = ANY(%s)", [list(numbers)])
    return int(cursor.rowcount)


def own_manifest(cursor: Any, folder: Path) -> Manifest | None:
    """The manifest of this database's history; None when the files are another's, or missing."""
    database = name_database(cursor)
    manifest = history_files.read_manifest(folder)
    if manifest is None:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM profiles_event)")
        if not cursor.fetchone()[0]:
            manifest = Manifest(database=database)
            history_files.write_manifest(folder, manifest)
    return manifest if manifest is not None and manifest.database == database else None


def name_database(cursor: Any) -> str:
    """What tells this database from a restored copy, whose transaction numbers begin anew."""
    cursor.execute(
        "SELECT has_function_privilege('pg_control_system()', 'execute'), current_database()"
    )
    may_ask, name = cursor.fetchone()
    if not may_ask:
        return str(name)
    cursor.execute("SELECT system_identifier FROM pg_control_system()")
    return f"{cursor.fetchone()[0]}/{name}"


def append_blocks(
    folder: Path, manifest: Manifest, blocks: Sequence[tuple[int, int, memoryview]]
) -> int:
    parts = [
        history_blocks.unpack(bytes(payload), rows=rows) for _, rows, payload in blocks if rows > 0
    ]
    if parts:
        columns = Columns._make(np.concatenate(column) for column in zip(*parts, strict=True))
        history_files.append(folder, manifest, columns)
    manifest.stale |= any(rows == history_blocks.STALE for _, rows, _ in blocks)
    manifest.appended = [number for number, _, _ in blocks]
    history_files.write_manifest(folder, manifest)
    return sum(len(part.profile) for part in parts)


def rebuild(data_dir: Path | None = None) -> int:
    """Write the history anew from the stored events; the number of rows. Waits for its turn."""
    folder = history_files.folder_of(data_dir or settings.DATA_DIR)
    with transaction.atomic(), connection.cursor() as cursor:
        locks.hold(cursor, WRITER)
        return rebuild_locked(cursor, folder)


def rebuild_if_stale(data_dir: Path | None = None) -> bool:
    stale = open_history(data_dir).manifest().stale
    if stale:
        rebuild(data_dir)
    return stale


def rebuild_locked(cursor: Any, folder: Path) -> int:
    generations = [int(p.name[1:]) for p in history_files.list_generations(folder)]
    manifest = Manifest(database=name_database(cursor), generation=max(generations, default=0) + 1)
    history_files.generation_folder(folder, manifest.generation).mkdir(parents=True)
    for rows in chunks_of_everything():
        events = [row for row in rows if row[1] is not None]
        manifest.appended += [row[0] for row in rows if row[1] is None]
        if events:
            history_files.append(folder, manifest, columns_of(cursor, events))
    history_files.write_manifest(folder, manifest)
    history_files.remove_other_generations(folder, manifest)
    delete_blocks(cursor, manifest.appended)
    return manifest.rows


def chunks_of_everything() -> Iterator[list[tuple[Any, ...]]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(EVERYTHING)
        while rows := cursor.fetchmany(EVENTS_AT_ONCE):
            yield rows


def columns_of(cursor: Any, events: Sequence[tuple[Any, ...]]) -> Columns:
    """The columns of stored events: profile, name, kind, ts in ms, properties with items."""
    owners, names, kinds, times, properties = zip(*events, strict=True)
    items = [
        extract.items(name, msgspec.json.decode(found)) if found and kind != "identify" else []
        for name, kind, found in zip(names, kinds, properties, strict=True)
    ]
    item_numbers = terms.numbers(cursor, "item", {item for found in items for item in found})
    event_numbers = terms.numbers(cursor, "event", names)
    return history_blocks.columns_of(
        times,
        owners,
        [[item_numbers[item] for item in found] for found in items],
        [event_numbers[name] for name in names],
    )
