"""One product as it came in: every value read, every problem named at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog import values
from catalog.columns import COMMON
from catalog.errors import Problem


@dataclass(slots=True)
class Row:
    """`common` has the columns that were given, `own` those with a value."""

    id: str
    common: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_row(cells: Mapping[str, Any], *, types: Mapping[str, str], typed: bool) -> Row:
    """Values of a product by column.

    Parameters
    ----------
    cells : column → value as it came; `None` and "" are no value
    types : type of each own column
    typed : values come from JSON and mean what they are, see `values.kind_of`
    """
    row = Row("")
    for column, value in cells.items():
        try:
            if column in COMMON:
                row.common[column] = values.READERS[column](value)
            else:
                found = values.own(value, types[column], typed=typed)
                if found is not None:
                    row.own[column] = found
        except ValueError as exc:
            row.problems.append(Problem(column, str(exc)))
    row.id = row.common.pop("id", "")
    _settle_price(row)
    return row


def _settle_price(row: Row) -> None:
    """A price may bring its currency along, but must not contradict the currency's column."""
    if "price" not in row.common:
        return
    row.common["price"], brought = row.common["price"]
    if not brought:
        return
    if row.common.get("currency") in (None, "", brought):
        row.common["currency"] = brought
    else:
        stated = row.common["currency"]
        row.problems.append(Problem("price", f"is in {brought}, but currency says {stated}"))
