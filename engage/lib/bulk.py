"""Many rows at once: COPY in PostgreSQL's text format, and arrays as one parameter each."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any
from uuid import UUID

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


def escape(value: str) -> str:
    """A value as COPY's text format wants it."""
    return value.translate(ESCAPES)


def copy_lines(cursor: Any, lines: Sequence[str], *, table: str, columns: str) -> None:
    """COPY lines whose fields are escaped and joined by tabs.

    Raises
    ------
    UnicodeEncodeError
        A line has half of a surrogate pair, which no encoding can hold.
    psycopg2.DataError, psycopg2.IntegrityError
        As PostgreSQL says.
    """
    if lines:
        data = BytesIO(("\n".join(lines) + "\n").encode())
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", data)


def array(values: Iterable[object]) -> str:
    """The values as the text of a PostgreSQL array; the driver quotes a list one by one."""
    every = list(values)
    if len(every) > 1 and every.count(every[0]) == len(every):  # of rows that belong together
        return "{" + ",".join([element(every[0])] * len(every)) + "}"
    return "{" + ",".join(map(element, every)) + "}"


def element(value: object) -> str:
    """Of text, bytes, a UUID, None, and of what PostgreSQL reads as Python writes it."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    if isinstance(value, UUID):
        return value.hex
    return "NULL" if value is None else str(value)


def arrays(rows: Iterable[Sequence[Any]]) -> list[str]:
    """The columns of the rows, each as an array."""
    return [array(column) for column in zip(*rows, strict=True)]
