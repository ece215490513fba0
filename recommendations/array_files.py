"""Arrays as files: a folder of them and a manifest that says what they must be.

The folder appears by one rename, after everything in it has reached the disk. Arrays are mapped,
not read, and never larger than their file; nothing is unpickled.
"""

import hashlib
import json
import mmap
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommendations.errors import DamagedArtifact, NotWritten

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
MANIFEST_MAX_BYTES: Final = 1_000_000
PARTIAL: Final = ".partial"  # folders that a killed build leaves behind

Kind = tuple[str, tuple[str, ...]]  # dtype, and the shape in names of sizes
Stamp = tuple[tuple[int, int, int], ...]


def write_folder(
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    known: Mapping[str, Kind],
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
        If an array is not of one of the known kinds.
    NotWritten
        If the disk did not take it: full, or broken.
    """
    if folder.exists():
        raise FileExistsError(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        partial.mkdir()
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
    except BaseException as exc:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(exc, OSError):
            why = exc.strerror or exc
            raise NotWritten(
                f"{folder.name} cannot be written to {folder.parent}: {why}."
            ) from exc
        raise
    return hashlib.sha256(manifest).hexdigest()


def write_array(path: Path, array: NDArray[Any], *, dtype: str) -> dict[str, Any]:
    """Write one array in numpy's format; its entry for the manifest."""
    array = np.ascontiguousarray(array, dtype=np.dtype(dtype))
    with path.open("xb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.reshape(-1).view(np.uint8).data)  # numpy's own would not say what failed
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
        If anything is missing, shorter, longer or different.
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


def stamp_of(folder: Path) -> Stamp:
    """What changes when a file is written, cut, replaced or taken away."""
    found = (os.stat(path) for path in sorted(folder.iterdir()))
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


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
