"""A model as files: a folder of arrays and a manifest that says what they must be.

The folder appears by one rename, after everything in it has reached the disk. Arrays are mapped,
not read, and never larger than their file; nothing is unpickled.
"""

import dataclasses
import hashlib
import json
import mmap
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.ranking import NOTHING_NEWER, Newer
from recommendations.algorithms.visits import LONGEST_VISIT, Visits
from recommendations.algorithms.words import WordIndex
from recommendations.errors import DamagedArtifact

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
VISITS: Final = "visit_{}"  # by field
MANIFEST_MAX_BYTES: Final = 1_000_000
PARTIAL: Final = ".partial"  # folders that a killed build leaves behind
CHUNK: Final = 1 << 20

Kind = tuple[str, tuple[str, ...]]  # dtype, and the shape in names of sizes

# What a model must have.
ARRAYS: Final[Mapping[str, Kind]] = {
    "item_text": ("|u1", ("text",)),  # the item ids, in order, as UTF-8 end to end
    "item_start": ("<i8", ("items + 1",)),
    "personal_items": ("<i4", ("items", "top")),
    "personal_scores": ("<f4", ("items", "top")),
    "personal_sources": ("|u1", ("items", "top")),  # places in facts["sources"]
    "sales": ("<i8", ("items",)),
    "trend": ("<f8", ("items",)),
    "occurrences": ("<i8", ("items",)),
    "again": ("<f4", ("items",)),
    "marks": ("<u8", ("items",)),  # these three: what events are folded into its lists from
    "similar_met": ("<i8", ("items",)),
    "next_met": ("<i8", ("items",)),
    "visit_bounds": ("<i8", ("visits + 1",)),
    "visit_items": ("<i4", ("steps",)),
    "visit_weight": ("<f8", ("visits",)),
    "visit_item_bounds": ("<i8", ("items + 1",)),
    "visit_visit": ("<i4", ("mentions",)),
    "visit_step": ("<i4", ("mentions",)),
    "visit_rarity": ("<f8", ("items",)),
    "visit_target": ("<f8", ("items",)),
    "people_items": ("<i4", ("candidates",)),  # these two: see algorithms.demographics
    "people_lift": ("<f4", ("kinds of people", "candidates")),
    "word_hashes": ("<u8", ("words",)),
    "word_starts": ("<i8", ("words + 1",)),
    "word_items": ("<i4", ("pairs",)),
    "word_worth": ("<f4", ("words",)),
    "word_lengths": ("<f4", ("items",)),
    "word_item_starts": ("<i8", ("items + 1",)),
    "word_words": ("<i4", ("pairs",)),
}
# And of each reading that facts["readings"] names.
LISTS: Final[Mapping[str, Kind]] = {
    "{}_items": ("<i4", ("items", "top")),
    "{}_scores": ("<f4", ("items", "top")),
}
Readings = tuple[NDArray[np.int32], NDArray[np.float32]]


Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded model. Nobody writes into its arrays.

    One that events were folded into (see `patch`) has further items, arrays of all items that are
    newer, and rows that stand in for those of its lists.
    """

    build_id: int
    item_ids: list[str]
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]  # whatever the build wrote beside the arrays
    stamps: Mapping[Path, Stamp]  # of the files of each folder, when they were proved
    base: "Artifact | None" = None  # as it was built
    # Place in `rows` of each item's newer rows, -1 for none; empty without a patch.
    where: NDArray[np.int32] = field(default_factory=lambda: NOTHING_NEWER.where)
    rows: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def reading(self, name: str) -> Readings:
        """Neighbours and strengths: "personal", "similar", "next" or another reading it has."""
        return self.arrays[f"{name}_items"], self.arrays[f"{name}_scores"]

    def newer(self, name: str) -> Newer:
        """The rows of a reading that stand in for its old ones."""
        if not self.where.size:
            return NOTHING_NEWER
        return Newer(self.where, self.rows[f"{name}_items"], self.rows[f"{name}_scores"])

    def neighbours(self, name: str, number: int) -> list[int]:
        """The row of one item, best first, padded with -1."""
        row = self.where[number] if self.where.size else -1
        if row >= 0:
            return list(self.rows[f"{name}_items"][row].tolist())
        return list(self.arrays[f"{name}_items"][number].tolist())

    def source(self, number: int, place: int) -> str:
        """Which reading says most for the neighbour at this place of an item's personal list."""
        row = self.where[number] if self.where.size else -1
        found = self.rows["personal_sources"][row] if row >= 0 else self._sources[number]
        name: str = self.facts["sources"][found[place]]
        return name

    def source_places(
        self, numbers: NDArray[np.int32], places: NDArray[np.int32]
    ) -> NDArray[np.uint8]:
        """As `source`, for many: places in facts["sources"]."""
        found: NDArray[np.uint8] = self._sources[numbers, places]
        row = self.where[numbers] if self.where.size else None
        if row is not None and (row >= 0).any():
            found = np.where(row >= 0, self.rows["personal_sources"][row, places], found)
        return found

    @property
    def _sources(self) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self.arrays["personal_sources"]
        return found

    @cached_property
    def visits(self) -> Visits:
        """For people with a short history; empty where the build gave them no weight."""
        names = (field.name for field in dataclasses.fields(Visits))
        return Visits(**{name: self.arrays[VISITS.format(name)] for name in names})

    @property
    def words(self) -> WordIndex:
        """The descriptions of its items."""
        arrays = self.arrays
        return WordIndex(
            arrays["word_hashes"],
            arrays["word_starts"],
            arrays["word_items"],
            arrays["word_worth"],
            arrays["word_lengths"],
            arrays["word_item_starts"],
            arrays["word_words"],
        )

    def is_unchanged(self) -> bool:
        """Whether the mapped files are still those that were proved; costs no reading."""
        try:
            return all(stamp_of(folder) == stamp for folder, stamp in self.stamps.items())
        except OSError:
            return False


def stamp_of(folder: Path) -> Stamp:
    """What changes when a file is written, cut, replaced or taken away."""
    found = (os.stat(path) for path in sorted(folder.iterdir()))
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


def kinds(facts: Mapping[str, Any]) -> dict[str, Kind]:
    """Every array that an artifact with these facts has."""
    readings = [str(name) for name in facts["readings"]]
    more = {name.format(of): kind for of in readings for name, kind in LISTS.items()}
    return {**ARRAYS, **more}


def write(
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    *,
    item_ids: list[str],
    facts: Mapping[str, Any],
) -> str:
    """Write a new folder, all or nothing; the checksum of its manifest.

    Raises
    ------
    FileExistsError
        If the folder exists.
    KeyError
        If an array is not one that an artifact with these facts has.
    """
    return write_folder(folder, arrays, kinds(facts), item_ids=item_ids, facts=facts)


def write_folder(
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    known: Mapping[str, Kind],
    *,
    item_ids: list[str],
    facts: Mapping[str, Any],
) -> str:
    """As `write`, for arrays of whatever kinds."""
    if folder.exists():
        raise FileExistsError(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}{PARTIAL}")
    partial.mkdir()
    try:
        encoded = [item_id.encode() for item_id in item_ids]
        start = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        text = np.frombuffer(b"".join(encoded), np.uint8)
        files = {
            name: write_array(partial / f"{name}.npy", array, dtype=known[name][0])
            for name, array in {**arrays, "item_text": text, "item_start": start}.items()
        }
        manifest = json.dumps(
            {"format": FORMAT, "facts": facts, "files": files}, indent=1, sort_keys=True
        ).encode()
        write_file(partial / MANIFEST, manifest)
        sync_folder(partial)
        partial.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return hashlib.sha256(manifest).hexdigest()


def write_array(path: Path, array: NDArray[Any], *, dtype: str) -> dict[str, Any]:
    """Write one array in numpy's format; its entry for the manifest."""
    array = np.ascontiguousarray(array, dtype=np.dtype(dtype))
    with path.open("xb") as file:
        np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return {
        "dtype": dtype,
        "shape": list(array.shape),
        "bytes": path.stat().st_size,
        "sha256": hash_file(path),
    }


def write_file(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(folder: Path, *, checksum: str, build_id: int) -> Artifact:
    """Map a model, after proving that every byte is the one that was written.

    Raises
    ------
    DamagedArtifact
        If anything is missing, shorter, longer or different.
    """
    stamp, arrays, item_ids, facts = read_folder(folder, kinds, check_numbers, checksum=checksum)
    return Artifact(build_id, item_ids, arrays, facts, {folder: stamp})


def read_folder(
    folder: Path,
    kinds_of: Callable[[Mapping[str, Any]], Mapping[str, Kind]],
    check: Callable[[Mapping[str, NDArray[Any]], Mapping[str, Any]], None],
    *,
    checksum: str,
) -> tuple[Stamp, dict[str, NDArray[Any]], list[str], dict[str, Any]]:
    """Stamp, arrays, item ids and facts of a folder, all of it proved.

    Raises
    ------
    DamagedArtifact
    """
    try:
        stamp = stamp_of(folder)  # first: what is written meanwhile must not pass for proved
        files, facts = read_manifest(folder, checksum)
        check_files(folder, files)
        known = kinds_of(facts)
        arrays = {name: map_array(folder / f"{name}.npy", files[name]) for name in known}
        check_shapes(arrays, known)
        check(arrays, facts)
        item_ids = decode_ids(arrays["item_text"], arrays["item_start"])
    except (OSError, KeyError, TypeError, ValueError, OverflowError) as exc:
        raise DamagedArtifact(
            f"The artifact in {folder.name} is damaged and is not served.",
            detail=f"{type(exc).__name__}: {exc}",
        ) from exc
    return stamp, arrays, item_ids, facts


def read_manifest(folder: Path, checksum: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with (folder / MANIFEST).open("rb") as file:
        raw = file.read(MANIFEST_MAX_BYTES + 1)
    if hashlib.sha256(raw).hexdigest() != checksum:
        raise ValueError("the manifest is not the one that was published")
    manifest = json.loads(raw)
    if manifest["format"] != FORMAT:
        raise ValueError(f"format {manifest['format']} is not {FORMAT}")
    return manifest["files"], manifest["facts"]


def check_files(folder: Path, files: Mapping[str, Any]) -> None:
    """Nothing lies in the folder that the build did not write."""
    found = {path.name for path in folder.iterdir()}
    if strange := found - {MANIFEST, *(f"{name}.npy" for name in files)}:
        raise ValueError(f"{min(strange)!r} was not written by the build")


def map_array(path: Path, entry: Mapping[str, Any]) -> NDArray[Any]:
    """A view of the file's pages. The header is believed only where it fits the file."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry["bytes"]:
            raise ValueError(f"{path.name} has {size} bytes, {entry['bytes']} were written")
        if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
            raise ValueError(f"{path.name} is not what was written")
        file.seek(0)
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{path.name} is of another version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        if fortran or dtype.hasobject or dtype.str != entry["dtype"]:
            raise ValueError(f"{path.name} is of another type")
        if list(shape) != entry["shape"] or size - offset != prod(shape) * dtype.itemsize:
            raise ValueError(f"{path.name} is of another shape")
        if size == offset:
            return np.zeros(shape, dtype)
        # Private pages: shared until somebody writes, and a stray write never reaches the file.
        # Not ACCESS_READ: numba takes ten times longer to look at a read-only array.
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return np.frombuffer(pages, dtype, offset=offset).reshape(shape)


def check_shapes(arrays: Mapping[str, NDArray[Any]], known: Mapping[str, Kind]) -> None:
    """Every array of its kind; sizes of one name are the same everywhere."""
    sizes: dict[str, int] = {}
    for name, (dtype, shape) in known.items():
        found = arrays[name]
        if found.dtype.str != dtype or found.ndim != len(shape):
            raise ValueError(f"{name} is {found.dtype} {found.shape}")
        for word, size in zip(shape, found.shape, strict=True):
            plain = word.removesuffix(" + 1")
            size -= word != plain
            if sizes.setdefault(plain, size) != size:
                raise ValueError(f"{name} is {found.shape}, others have {sizes[plain]} {plain}")


def check_numbers(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Whoever reads the arrays trusts these numbers."""
    n_items = arrays["sales"].size
    for name in (name for name in arrays if name.endswith("_items")):
        numbers = arrays[name]
        if numbers.size and (numbers.min() < -1 or numbers.max() >= n_items):
            raise ValueError(f"{name} names items that do not exist")
    sources = arrays["personal_sources"]
    if sources.size and sources.max() >= len(facts["sources"]):
        raise ValueError("personal_sources names sources that do not exist")
    check_people(arrays["people_items"], arrays["people_lift"], facts.get("people_alike", {}))
    for bounds, size in (
        ("word_starts", arrays["word_items"].size),
        ("word_item_starts", arrays["word_words"].size),
        ("visit_bounds", arrays["visit_items"].size),
        ("visit_item_bounds", arrays["visit_visit"].size),
    ):
        found = arrays[bounds]
        if found[0] != 0 or found[-1] != size or (np.diff(found) < 0).any():
            raise ValueError(f"{bounds} does not fit its array")
    words = arrays["word_words"]
    if words.size and (words.min() < 0 or words.max() >= arrays["word_hashes"].size):
        raise ValueError("word_words names words that do not exist")
    visit, step = arrays["visit_visit"], arrays["visit_step"]
    lengths = np.diff(arrays["visit_bounds"])
    if visit.size:
        if visit.min() < 0 or visit.max() >= lengths.size:
            raise ValueError("visit_visit names visits that do not exist")
        if step.min() < 0 or (step >= lengths[visit]).any():
            raise ValueError("visit_step names steps that do not exist")
    if (lengths > LONGEST_VISIT).any():
        raise ValueError("visit_bounds has visits that are too long")


def check_people(
    items: NDArray[np.int32], lift: NDArray[np.float32], facts: Mapping[str, Any]
) -> None:
    """Every row of the lift is about one value, every column about an item."""
    values = facts["values"] if facts else {}
    for own in dict(values).values():
        if not (isinstance(own, list) and all(isinstance(value, str) for value in own)):
            raise ValueError("people_alike names values that are no texts")
    if len(lift) != sum(map(len, values.values())):
        raise ValueError("people_lift does not fit the values of people_alike")
    if len(lift) and facts["base"] not in ("sales", "trend"):
        raise ValueError("people_alike names a list that does not exist")
    if items.size and items.min() < 0:
        raise ValueError("people_items names items that do not exist")
    if not (np.isfinite(lift) & (lift > 0)).all():
        raise ValueError("people_lift has a number that is no factor")


def decode_ids(text: NDArray[np.uint8], start: NDArray[np.int64]) -> list[str]:
    if start[0] != 0 or start[-1] != text.size or (np.diff(start) < 0).any():
        raise ValueError("the item ids do not fit their text")
    raw = text.tobytes()
    edges = start.tolist()
    return [raw[a:b].decode() for a, b in pairwise(edges)]


def remove_partial(folder: Path) -> None:
    """What killed builds left; only the one build that runs may call this."""
    for left in folder.glob(f"*{PARTIAL}"):
        shutil.rmtree(left, ignore_errors=True)
