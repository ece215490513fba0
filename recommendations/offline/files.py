"""Columns of a CSV file, plain or packed, whose header says what they are."""

import csv
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from engage.lib.errors import InvalidInput

MOST_ROWS = 50_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Every cell as text; `columns` in the order of the header."""

    path: Path
    columns: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Sequence[str]:
        return self.columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as numbers. Raises `InvalidInput` with the line of one that is not finite."""
        cells = self.columns[name]
        try:
            found = np.array(cells, np.float64)
        except ValueError:
            found = np.full(1, np.nan)
        if not np.isfinite(found).all():
            place = next(n for n, cell in enumerate(cells) if not _is_number(cell))
            raise InvalidInput(
                f"{self.path}, line {place + 2}: {name} is {cells[place]!r}, not a number."
            )
        return found


def read_table(path: Path) -> Table:
    """The whole file.

    Raises
    ------
    InvalidInput
        It cannot be read, has no header, or a line has more or fewer cells than the header.
    """
    with _opened(path) as file:
        reader = csv.reader(file)
        header = [name.strip().lower() for name in next(reader, [])]
        if not any(header) or len(set(header)) < len(header):
            raise InvalidInput(f"{path}, line 1: expected a header of different column names.")
        columns: list[list[str]] = [[] for _ in header]
        for row in _rows(reader, path, width=len(header)):
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
    return Table(path, dict(zip(header, columns, strict=True)))


def _rows(reader: Any, path: Path, *, width: int) -> Iterator[list[str]]:
    for count, row in enumerate(reader):
        if len(row) != width:
            if not row:
                continue
            raise InvalidInput(
                f"{path}, line {reader.line_num}: {len(row)} cells, the header has {width}."
            )
        if count >= MOST_ROWS:
            raise InvalidInput(f"{path} has more than {MOST_ROWS:,} lines.")
        yield row


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open("rb") as raw, ExitStack() as files:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = files.enter_context(gzip.open(raw)) if packed else raw
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as exc:
        raise InvalidInput(f"{path} cannot be read: {exc}") from exc


def _is_number(cell: str) -> bool:
    try:
        return isfinite(float(cell))
    except ValueError:
        return False


def numbered(cells: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Each cell as a number, and what the numbers stand for, in the order of the texts."""
    names = sorted(set(cells))
    number = {name: place for place, name in enumerate(names)}
    return np.fromiter((number[cell] for cell in cells), np.int64, len(cells)), names
