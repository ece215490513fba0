"""The files of the columnar history: a manifest, and below each day four columns.

```text
history/manifest.json        what is valid: generation, rows per day, the blocks appended last
history/g1/2026-11-02/ts_ms  little-endian values, one after the other
```

Columns are written and synced first, then the manifest is replaced: rows beyond what the manifest
counts are a torn tail, overwritten by the next writer and never read.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from engage.lib import clock
from engage.profiles.errors import HistoryDamaged
from engage.profiles.history_blocks import DTYPES, Columns

DAY_MS: Final = 86_400_000
MANIFEST: Final = "manifest.json"


class Manifest(msgspec.Struct, kw_only=True):
    """What the files hold. `days` counts rows by day number since 1970."""

    database: str = ""  # of which the rows are
    generation: int = 1
    days: dict[int, int] = {}
    appended: list[int] = []  # ids of the blocks whose rows were appended last
    stale: bool = False  # a rebuild is due: events changed their profile, people were erased

    @property
    def rows(self) -> int:
        return sum(self.days.values())


def folder_of(data_dir: Path) -> Path:
    return data_dir / "history"


def read_manifest(folder: Path) -> Manifest | None:
    """None where no history was ever written."""
    try:
        raw = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as exc:
        raise HistoryDamaged(f"{folder / MANIFEST} cannot be read: {exc}") from exc


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest: after a crash there is the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{MANIFEST}.new"
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(manifest))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / MANIFEST)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def generation_folder(folder: Path, generation: int) -> Path:
    return folder / f"g{generation}"


def day_folder(folder: Path, manifest: Manifest, day: int) -> Path:
    name = f"{clock.from_millis(day * DAY_MS):%Y-%m-%d}"
    return generation_folder(folder, manifest.generation) / name


def append(folder: Path, manifest: Manifest, columns: Columns) -> None:
    """Write rows behind the valid ones and count them in the manifest, which is not written yet.

    All files are synced; without the manifest that counts them the rows do not exist.
    """
    days = columns.ts_ms // DAY_MS
    order = np.argsort(days, kind="stable")
    found, starts = np.unique(days[order], return_index=True)
    for day, rows in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
        valid = manifest.days.get(day, 0)
        append_day(
            day_folder(folder, manifest, day), Columns._make(c[rows] for c in columns), valid=valid
        )
        manifest.days[day] = valid + len(rows)
    if len(found):
        sync_folder(generation_folder(folder, manifest.generation))


def append_day(place: Path, columns: Columns, *, valid: int) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name, dtype, column in zip(Columns._fields, DTYPES, columns, strict=True):
        handle = os.open(place / name, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            if file.seek(0, os.SEEK_END) < valid * dtype.itemsize:
                raise HistoryDamaged(f"{place / name} is shorter than the manifest says")
            file.truncate(valid * dtype.itemsize)  # a torn tail of a crash
            file.seek(valid * dtype.itemsize)
            file.write(np.asarray(column, dtype).tobytes())
            file.flush()
            os.fsync(file.fileno())
    if not valid:
        sync_folder(place)


def read(folder: Path, manifest: Manifest, days: list[int]) -> Columns:
    """The rows of the days, one behind the other, read straight into place."""
    total = sum(manifest.days[day] for day in days)
    columns = Columns._make([np.empty(total, dtype) for dtype in DTYPES])
    at = 0
    for day in days:
        rows, place = manifest.days[day], day_folder(folder, manifest, day)
        for name in Columns._fields:
            fill(getattr(columns, name), place / name, at=at, rows=rows)
        at += rows
    return columns


def fill(column: NDArray[Any], path: Path, *, at: int, rows: int) -> None:
    """Read `rows` values of the file into the column from `at` on."""
    target = column.view(np.uint8).data[at * column.itemsize : (at + rows) * column.itemsize]
    with path.open("rb", buffering=0) as file:
        while len(target):
            count = file.readinto(target)
            if not count:
                raise HistoryDamaged(f"{path} is shorter than the manifest says")
            target = target[count:]


def remove_other_generations(folder: Path, manifest: Manifest) -> None:
    for place in list_generations(folder):
        if place != generation_folder(folder, manifest.generation):
            shutil.rmtree(place, ignore_errors=True)


def list_generations(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from (place for place in folder.iterdir() if place.name.startswith("g"))
