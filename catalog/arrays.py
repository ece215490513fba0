"""Columns of a snapshot: numpy arrays that never change; a refresh makes new ones.

A column knows which rows have no value (`missing`), compares all rows at once, and builds its
successor from a `Change`. Nothing here knows the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
COMPARE = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Change:
    """How the rows of the next version come from the rows of this one.

    Parameters
    ----------
    source : ndarray of int64, shape (rows of the next version,), or None
        The row it was, -1 for a new one. None: rows are where they were.
    rows : ndarray of int64
        Rows of the next version that get a new value, ascending. Every new row is among them.
    """

    source: NDArray[np.int64] | None
    rows: NDArray[np.int64]


class Column(Protocol):
    """One column. `values` is the array that fits its kind, see each class."""

    values: NDArray[Any]

    @property
    def kind(self) -> str: ...

    @property
    def missing(self) -> Mask: ...

    def __len__(self) -> int: ...

    def value(self, row: int) -> Any:
        """The value as Python has it; None where it is missing."""
        ...

    def changed(self, change: Change, values: Sequence[Any]) -> Self:
        """The column after a change; `values` belong to `change.rows`."""
        ...

    def matches(self, op: str, wanted: Any) -> Mask:
        """Rows whose value compares so. A row without a value never matches."""
        ...


class ArrayColumn:
    """What columns with one fixed-size cell per row share."""

    kind: ClassVar[str]
    empty: ClassVar[Any]  # the cell of a missing value

    def __init__(self, values: NDArray[Any]) -> None:
        values.flags.writeable = False
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def moved(self, change: Change) -> NDArray[Any]:
        """A writable copy in the order of the next version; new rows are missing."""
        if change.source is None:
            return self.values.copy()
        moved = np.full(len(change.source), self.empty, dtype=self.values.dtype)
        known = change.source >= 0
        moved[known] = self.values[change.source[known]]
        return moved

    def stays(self, change: Change, cells: NDArray[Any]) -> bool:
        """Nothing of this column is among the changes, so the column may be kept."""
        if change.source is not None:
            return False
        return np.array_equal(self.values[change.rows], cells, equal_nan=cells.dtype.kind == "f")

    def compare(self, op: str, wanted: Any) -> Mask:
        """For ordered cells; the caller removes missing rows."""
        if op == "in":
            return is_in(self.values, wanted)
        return compared(self.values, op, wanted)


class NumberColumn(ArrayColumn):
    """float64, NaN where missing."""

    kind = "number"
    empty = np.nan

    @property
    def missing(self) -> Mask:
        found: Mask = np.isnan(self.values)
        return found

    def value(self, row: int) -> float | None:
        found = float(self.values[row])
        return None if found != found else found

    def changed(self, change: Change, values: Sequence[Any]) -> "NumberColumn":
        cells = number_cells(values)
        if self.stays(change, cells):
            return self
        moved = self.moved(change)
        moved[change.rows] = cells
        return NumberColumn(moved)

    def matches(self, op: str, wanted: Any) -> Mask:
        return self.compare(op, wanted)  # NaN compares with nothing


class TimeColumn(ArrayColumn):
    """int64 milliseconds since 1970 UTC, the smallest int64 where missing."""

    kind = "time"
    empty = NO_TIME

    @property
    def missing(self) -> Mask:
        return compared(self.values, "=", NO_TIME)

    def value(self, row: int) -> str | None:
        millis = int(self.values[row])
        if millis == NO_TIME:
            return None
        return datetime.fromtimestamp(millis / 1000, UTC).isoformat().replace("+00:00", "Z")

    def changed(self, change: Change, values: Sequence[Any]) -> "TimeColumn":
        cells = time_cells(values)
        if self.stays(change, cells):
            return self
        moved = self.moved(change)
        moved[change.rows] = cells
        return TimeColumn(moved)

    def matches(self, op: str, wanted: Any) -> Mask:
        return self.compare(op, wanted) & ~self.missing


class BooleanColumn(ArrayColumn):
    """int8: 1 true, 0 false, -1 missing."""

    kind = "boolean"
    empty = -1

    @property
    def missing(self) -> Mask:
        return compared(self.values, "<", 0)

    def value(self, row: int) -> bool | None:
        found = int(self.values[row])
        return None if found < 0 else bool(found)

    def changed(self, change: Change, values: Sequence[Any]) -> "BooleanColumn":
        cells = boolean_cells(values)
        if self.stays(change, cells):
            return self
        moved = self.moved(change)
        moved[change.rows] = cells
        return BooleanColumn(moved)

    def matches(self, op: str, wanted: Any) -> Mask:
        return self.compare(op, int(wanted))


def compared(values: NDArray[Any], op: str, wanted: Any) -> Mask:
    found: Mask = COMPARE[op](values, wanted)
    return found


def is_in(values: NDArray[Any], wanted: Sequence[Any]) -> Mask:
    found: Mask = np.isin(values, np.asarray(wanted, dtype=values.dtype))
    return found


def number_cells(values: Sequence[Any]) -> NDArray[np.float64]:
    """float64 of numbers; NaN for anything else, true and false included."""
    cells = [
        float(v) if isinstance(v, int | float) and not isinstance(v, bool) else np.nan
        for v in values
    ]
    return np.array(cells, dtype=np.float64)


def boolean_cells(values: Sequence[Any]) -> NDArray[np.int8]:
    return np.array([int(v) if isinstance(v, bool) else -1 for v in values], dtype=np.int8)


def time_cells(values: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([time_millis(v) for v in values], dtype=np.int64)


def time_millis(value: object) -> int:
    """Of a stored time, "2026-11-02T12:00:00Z"; NO_TIME for anything else."""
    if not isinstance(value, str):
        return int(NO_TIME)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return int(NO_TIME)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
