"""Reads catalog files row by row: CSV, TSV and JSON lines, plain or gzipped, in little memory.

A row that cannot be read is handed on with its problem; a file that cannot be read raises
`InvalidFile` with the line. A feed can be read any number of times.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO, Final

import msgspec

from catalog.errors import InvalidFile, Problem

LONGEST_LINE: Final = 1_000_000  # characters or bytes
MOST_COLUMNS: Final = 500
FORMATS: Final = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
BOM: Final = b"\xef\xbb\xbf"
# What a broken JSON object still says plainly.
MEMBER: Final = re.compile(r'"([^"\\]{1,100})"\s*:\s*(?:"([^"\\]*)"|(-?[0-9]+)(?![0-9.eE]))')


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as the file has it. With a `problem` no cell but perhaps the id is to be trusted."""

    line: int
    cells: Mapping[str, Any]
    problem: Problem | None = None


class Feed:
    """A catalog file. `typed` values come from JSON, others are cells of a table."""

    def __init__(self, file: BinaryIO, *, file_name: str) -> None:
        self.file = file
        self.format = _format_of(file_name)
        self.typed = self.format == "json"
        self.delimiter = "\t" if self.format == "tsv" else ","
        self.gzipped = self._begins_with() == b"\x1f\x8b"
        self.size = file.seek(0, io.SEEK_END)

    def rows(self) -> Iterator[RawRow]:
        """Every row from the first. Blank lines are none."""
        reader = self._json_rows if self.typed else self._table_rows
        try:
            yield from reader(self._open())
        except UnicodeDecodeError:
            raise InvalidFile(self._find_bad_encoding()) from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
            raise InvalidFile(f"The gzip file is damaged or cut off: {exc}.") from exc

    @property
    def position(self) -> int:
        """Bytes of the file read so far."""
        return self.file.tell()

    def _open(self) -> io.BufferedReader:
        self.file.seek(0)
        plain = gzip.GzipFile(fileobj=self.file, mode="rb") if self.gzipped else self.file
        return io.BufferedReader(_Opened(plain), buffer_size=1 << 16)

    def _begins_with(self) -> bytes:
        self.file.seek(0)
        return self.file.read(2)

    # --- tables ----------------------------------------------------------------------------

    def _table_rows(self, stream: io.BufferedReader) -> Iterator[RawRow]:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        lines = _Lines(text)
        header = self._read_header(lines)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            first, lines.began = lines.count + 1, ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                # Split at every delimiter, but good enough to know whose row it probably was.
                found = (cell.strip(' "\r\n') for cell in lines.began.split(self.delimiter))
                row = dict(zip(header, found, strict=False))
                yield RawRow(first, row, _judge_quotes(exc, first=first, last=lines.count))
                continue
            if not any(cells):
                continue
            row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            if len(cells) == len(header):
                yield RawRow(first, row)
            else:
                counted = f"has {len(cells)} cells, the header has {len(header)}"
                yield RawRow(first, row, Problem("", counted))

    def _read_header(self, lines: "_Lines") -> list[str]:
        """The first row that says anything; one with semicolons makes a table with semicolons."""
        first = next((line for line in lines if line.strip()), None)
        if first is None:
            raise InvalidFile("The file is empty.")
        if self.format == "csv":
            self.delimiter = ";" if ";" in first and "," not in first else ","
        try:
            header = next(csv.reader([first], delimiter=self.delimiter, strict=True), [])
        except csv.Error as exc:
            message = f"Line {lines.count}: the header cannot be read: {exc}."
            raise InvalidFile(message) from exc
        header = [name.strip() for name in header]
        _check_header(header, line=lines.count)
        return header

    # --- JSON lines ------------------------------------------------------------------------

    def _json_rows(self, stream: io.BufferedReader) -> Iterator[RawRow]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        number = 0
        while raw := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise InvalidFile(f"Line {number} is longer than {LONGEST_LINE:,} bytes.")
            raw = raw.removeprefix(BOM).strip() if number == 1 else raw.strip()
            if number == 1 and raw.startswith(b"["):
                raise InvalidFile("Line 1: expected one JSON object in each line, not a list.")
            if not raw:
                continue
            try:
                yield RawRow(number, decode(raw))
            except (msgspec.DecodeError, RecursionError) as exc:
                # A wrong encoding is wrong for the whole file.
                found = (match.groups("") for match in MEMBER.finditer(raw.decode()))
                row = {name: text or digits for name, text, digits in found}
                yield RawRow(number, row, Problem("", f"is not a JSON object: {exc}"))

    def _find_bad_encoding(self) -> str:
        stream = self._open()
        number = 0
        while raw := stream.readline(LONGEST_LINE):
            number += 1
            try:
                raw.decode()
            except UnicodeDecodeError as exc:
                found = f"byte 0x{raw[exc.start]:02x} at column {exc.start + 1}"
                advice = "save the file as UTF-8 and try again"
                return f"Line {number} is not UTF-8 ({found}): {advice}."
        return "The file is not UTF-8: save it as UTF-8 and try again."


class _Opened(io.RawIOBase):
    """A stream that stays open when the reader on top of it goes."""

    def __init__(self, stream: gzip.GzipFile | BinaryIO) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.stream.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class _Lines:
    """Lines of a text with their ends, none of them without bound."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text = text
        self.count = 0
        self.began = ""  # the first line since this was emptied

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        found = self.text.readline(LONGEST_LINE + 1)
        if not found:
            raise StopIteration
        self.count += 1
        if len(found) > LONGEST_LINE:
            raise InvalidFile(f"Line {self.count} is longer than {LONGEST_LINE:,} characters.")
        self.began = self.began or found
        return found


def _format_of(file_name: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePath(file_name).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    found = FORMATS.get(suffixes[-1]) if suffixes else None
    if found is None:
        raise InvalidFile(
            f"“{PurePath(file_name).name[:100]}” does not say its format: its name should end in "
            ".csv, .tsv or .jsonl, each possibly with .gz after it."
        )
    return found


def _check_header(header: list[str], *, line: int) -> None:
    if len(header) > MOST_COLUMNS:
        raise InvalidFile(f"Line {line}: the header has more than {MOST_COLUMNS} columns.")
    for number, column in enumerate(header, start=1):
        if not column:
            raise InvalidFile(f"Line {line}: column {number} has no name.")
        if header.index(column) < number - 1:
            raise InvalidFile(f"Line {line}: the header has the column “{column[:100]}” twice.")


def _judge_quotes(exc: csv.Error, *, first: int, last: int) -> Problem:
    """Misplaced quotes. One that never closes is the end of the file's sense."""
    too_long = "field limit" in str(exc)
    if too_long and last == first:
        return Problem("", f"has a cell longer than {csv.field_size_limit():,} characters")
    if too_long or "unexpected end" in str(exc):
        raise InvalidFile(f"Line {first}: a quotation mark opens here and never closes.") from exc
    where = f"its quotation marks do not match ({exc})"
    return Problem("", f"{where}; it goes on to line {last}" if last > first else where)
