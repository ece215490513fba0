"""Files of past events: CSV, TSV or JSON lines, plain or .gz, row by row into events."""

import csv
import gzip
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from engage.lib.errors import InvalidInput
from engage.lib.ids import digest16
from engage.profiles.events import EARLIEST, LATEST_AHEAD, StoredEvent
from engage.profiles.extract import ITEM_LENGTH

NAMES: Final = {
    "view": "Product Viewed",
    "cart": "Product Added",
    "purchase": "Order Completed",
    "return": "Order Refunded",
}
OWN_FIELDS: Final = frozenset({"user", "item", "event", "ts", "order", "anonymous", "message_id"})
NUMBERS: Final = ("quantity", "price")
REQUIRED: Final = ("item", "event", "ts")
PEOPLE: Final = ("user", "anonymous")  # one of the two
LONGEST: Final = {
    "user": 255,
    "anonymous": 255,
    "event": 200,
    "message_id": 100,
    "item": ITEM_LENGTH,
}
LONGEST_ROW: Final = 32_768  # as an event that a client sends
SOURCE_ID: Final = 0  # loaded by ourselves, no client's key

Fields = Mapping[str, Any]
Progress = Callable[[float], None]


class Refused(NamedTuple):
    line: int
    reason: str


class Loaded(NamedTuple):
    line: int
    event: StoredEvent


class RowRefused(Exception):
    """This row cannot become an event; the text says why."""


def read_events(
    path: Path, *, renamed: Mapping[str, str], source: str, now: datetime, progress: Progress
) -> Iterator[Loaded | Refused]:
    """Each row as an event or as a refusal with its line number.

    A row without a message id gets one from its content, and from how many equal rows stood
    before it: the same file again gives the same ids. `progress` hears the share that is read.

    Raises
    ------
    InvalidInput
        The file cannot be read, or has not the columns.
    """
    seen: dict[int, int] = {}
    for line, fields in read_rows(path, renamed=renamed, progress=progress):
        if isinstance(fields, str):
            yield Refused(line, fields)
            continue
        try:
            message_id = text(fields, "message_id") or content_id(fields, seen, source=source)
            yield Loaded(line, event_of(fields, message_id=message_id, now=now))
        except RowRefused as exc:
            yield Refused(line, str(exc))


def content_id(fields: Fields, seen: dict[int, int], *, source: str) -> str:
    content = digest16(source, check_text(json_of(fields)))
    key = content.int >> 64
    occurrence = seen[key] = seen.get(key, 0) + 1
    return str(content if occurrence == 1 else digest16(str(content), str(occurrence)))


def json_of(fields: Fields) -> str:
    """The same text for the same fields, in whatever order the columns stand."""
    return json.dumps(fields, sort_keys=True, ensure_ascii=False)


# --- one row -----------------------------------------------------------------------------------


def event_of(fields: Fields, *, message_id: str, now: datetime) -> StoredEvent:
    """The event of a row.

    Raises
    ------
    RowRefused
    """
    user_id, anonymous_id, order = (text(fields, name) for name in ("user", "anonymous", "order"))
    if not user_id and not anonymous_id:
        if not order:
            raise RowRefused("has no user, no anonymous id and no order")
        anonymous_id = f"order-{order}"[: LONGEST["anonymous"]]  # a guest: nobody else's order
    name = text(fields, "event")
    if not name:
        raise RowRefused("has no event")
    return StoredEvent(
        source_id=SOURCE_ID,
        message_id=message_id,
        kind="track",
        name=NAMES.get(name, name),
        user_id=user_id,
        anonymous_id=anonymous_id,
        ts=moment(fields.get("ts"), now=now),
        received_at=now,
        properties=properties_of(fields, order=order),
    )


def properties_of(fields: Fields, *, order: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        name: value
        for name, value in fields.items()
        if name not in OWN_FIELDS and value is not None and value != ""
    }
    for name in NUMBERS:
        if name in properties:
            properties[name] = number(properties[name], name)
    if item := text(fields, "item"):
        properties["product_id"] = item
    if order:
        properties["order_id"] = order
    check_text("".join(value for value in properties.values() if isinstance(value, str)))
    return properties


def text(fields: Fields, name: str) -> str:
    """A field as text without the blanks around it; empty when there is none."""
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, bool | dict | list | float):
        raise RowRefused(f"{name} is {value!r}, expected text")
    found = str(value).strip()
    if len(found) > LONGEST.get(name, 255):
        raise RowRefused(f"{name} is longer than {LONGEST.get(name, 255)} letters")
    return check_text(found)


def check_text(value: str) -> str:
    if "\x00" in value:
        raise RowRefused("has a NUL byte")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowRefused("is not UTF-8") from None
    return value


def number(value: Any, name: str) -> int | float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise RowRefused(f"{name} is {value!r}, expected a number") from None
    if not math.isfinite(found):
        raise RowRefused(f"{name} is {value!r}, expected a number")
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def moment(value: Any, *, now: datetime) -> datetime:
    """ISO 8601 (UTC where no zone is said), or seconds or milliseconds since 1970."""
    found = from_number(value) if isinstance(value, int | float) else from_text(value)
    if found is None:
        raise RowRefused(f"ts is {value!r}, expected ISO 8601 or seconds since 1970")
    if not EARLIEST <= found <= now + LATEST_AHEAD:
        raise RowRefused(f"ts is {found.isoformat()}, before 1990 or in the future")
    return found


def from_text(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        if len(value) > 8 or not value.isdigit():
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return from_number(float(value))
    except ValueError:
        return None


def from_number(value: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(value if abs(value) < 1e11 else value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


# --- the file ----------------------------------------------------------------------------------


def read_rows(
    path: Path, *, renamed: Mapping[str, str], progress: Progress
) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number and fields of each row; a text in place of the fields says what is wrong."""
    try:
        with path.open("rb") as raw:
            size = max(path.stat().st_size, 1)
            opened: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            # An undecodable byte spoils its row, not the file.
            lines = io.TextIOWrapper(opened, "utf-8-sig", errors="surrogateescape", newline="")
            read = read_json if is_json(path, lines) else read_csv
            for count, row in enumerate(read(path, lines, renamed)):
                if count % 1_000 == 0:
                    progress(position(raw) / size)
                yield row
            progress(1.0)
    except (OSError, EOFError, gzip.BadGzipFile) as exc:
        raise InvalidInput(f"{path} cannot be read: {exc}") from exc


def position(raw: BinaryIO) -> int:
    return raw.tell()


def is_json(path: Path, lines: io.TextIOWrapper) -> bool:
    name = path.name.removesuffix(".gz")
    return name.endswith((".jsonl", ".ndjson", ".json"))


def read_json(
    path: Path, lines: io.TextIOWrapper, renamed: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for line, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        if len(raw) > LONGEST_ROW:
            yield line, f"is longer than {LONGEST_ROW} letters"
            continue
        try:
            found = msgspec.json.decode(raw.encode("utf-8", "surrogateescape"))
        except (msgspec.DecodeError, UnicodeError) as exc:
            yield line, f"is not JSON: {exc}"
            continue
        if isinstance(found, dict):
            yield line, {renamed.get(name, name): value for name, value in found.items()}
        else:
            yield line, "is not a JSON object"


def read_csv(
    path: Path, lines: io.TextIOWrapper, renamed: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, Any] | str]]:
    head = lines.readline()
    dialect = "excel-tab" if "\t" in head else "excel"
    given = [name.strip() for name in next(csv.reader([head], dialect), [])]
    header = [renamed.get(name, name) for name in given]
    check_header(path, given, header, renamed)
    reader = csv.reader(lines, dialect)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            yield reader.line_num + 1, f"is not CSV: {exc}"
            continue
        line = reader.line_num + 1
        if len(row) == len(header):
            yield line, dict(zip(header, row, strict=True))
        elif row:
            yield line, f"has {len(row)} columns, the header has {len(header)}"


def check_header(
    path: Path, given: list[str], header: list[str], renamed: Mapping[str, str]
) -> None:
    """Refuse a file that lacks a column, or has one twice."""
    if strange := sorted(renamed.keys() - set(given)):
        raise InvalidInput(f"{path.name} has no column {strange[0]!r} that could be renamed.")
    missing = [repr(name) for name in REQUIRED if name not in header]
    if not set(PEOPLE) & set(header):
        missing.insert(0, "'user' or 'anonymous'")
    if missing:
        raise InvalidInput(
            f"{path.name} has no column {' and no column '.join(missing)}."
            f" Its columns are {', '.join(given) or 'none'}; rename with --map theirs=ours."
        )
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InvalidInput(f"{path.name} has the column {twice[0]!r} twice.")
