"""Many rows at once: COPY in PostgreSQL's text format."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

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
