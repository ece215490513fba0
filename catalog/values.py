"""What a cell or a JSON value says, or why it cannot be taken. Nothing is guessed.

Every reader returns the value to store and raises `ValueError` with a sentence for a person.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

LONGEST: Final[Mapping[str, int]] = {
    "id": 255,
    "name": 500,
    "category": 255,
    "group_id": 255,
    "url": 2_000,
    "image_url": 2_000,
}
LONGEST_TEXT: Final = 10_000  # of an own column
LONGEST_WORD: Final = 255  # in a list
MOST_WORDS: Final = 100
LARGEST_NUMBER: Final = 10**15  # beyond it digits get lost: that is a code, not an amount

PRICE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:\s+([A-Za-z]{3}))?")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
CODE = re.compile(r"-?(?:0[0-9]+|[0-9]{16,})")  # an article or post code: digits, but no amount
WHOLE = re.compile(r"-?[0-9]{1,9}")
TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# Nearly every address is like this one; others are looked at part by part.
PLAIN_URL = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(?:/[A-Za-z0-9._~/%?&=+#-]*)?")
NO_URL = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}\ud800-\udfff]")
TRUE: Final = frozenset({"true", "yes", "y", "t", "in stock", "in_stock", "instock", "available"})
FALSE: Final = frozenset(
    {"false", "no", "n", "f", "out of stock", "out_of_stock", "outofstock", "unavailable"}
)


def text(value: object, *, longest: int) -> str:
    found = value if isinstance(value, str) else as_text(value)
    if found is None:
        raise ValueError(f"expected a text, not {_kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{found} is no number")
    found = found.strip()
    if len(found) > longest:
        raise ValueError(f"is longer than {longest:,} characters")
    if UNSTORABLE.search(found):
        raise ValueError("has a character that cannot be stored (NUL or half a surrogate pair)")
    return found


def line(value: object, *, longest: int) -> str:
    """A text in one line."""
    found = text(value, longest=longest)
    if UNPRINTABLE.search(found):
        raise ValueError("has a line break or another control character")
    return found


def price(value: object) -> tuple[Decimal | None, str]:
    """Amount and, where the cell says it, currency: "12.50" or "12.50 EUR"."""
    if isinstance(value, bool):
        raise ValueError("expected an amount, not true or false")
    if isinstance(value, float):
        value = repr(value)
    written = text(value, longest=100)
    if not written:
        return None, ""
    if written.startswith("-"):
        raise ValueError("is negative")
    found = PRICE.fullmatch(written)
    if found is None:
        raise ValueError(
            f"“{written[:30]}” is not a price: write 1234.50, with a point before the decimals and"
            " nothing between the thousands"
        )
    amount = Decimal(found[1])
    if amount >= 10**12:
        raise ValueError("is too large")
    cents = amount.quantize(Decimal("0.01"))
    if cents != amount:
        raise ValueError(f"“{written[:30]}” has more than two decimals")
    return cents, (found[2] or "").upper()


def currency(value: object) -> str:
    found = text(value, longest=100).upper()
    if found and not re.fullmatch("[A-Z]{3}", found):
        raise ValueError(f"“{found[:30]}” is not a currency: write its three letters, such as EUR")
    return found


def stock(value: object) -> bool:
    """True, false, a word for it, or a quantity; no word at all is in stock."""
    if isinstance(value, bool):
        return value
    found = text(value, longest=100)
    word = found.lower()
    if not word or word in TRUE:
        return True
    if word in FALSE:
        return False
    if WHOLE.fullmatch(found):
        return int(found) > 0
    raise ValueError(f"“{found[:30]}” is neither yes nor no, nor a quantity")


def url(value: object) -> str:
    found = text(value, longest=LONGEST["url"])
    if not found or PLAIN_URL.fullmatch(found):
        return found
    try:
        parts = urlsplit(found)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"“{found[:60]}” is not an address that begins with https:// or http://")
    if NO_URL.search(found):
        raise ValueError(f"“{found[:60]}” has a blank or another character no address may have")
    return found


def name(value: object) -> str:
    found = text(value, longest=LONGEST["name"])
    if not found:
        raise ValueError("is missing")
    return found


def item_id(value: object) -> str:
    found = line(value, longest=LONGEST["id"])
    if not found:
        raise ValueError("is missing")
    return found


READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "id": item_id,
    "name": name,
    "category": lambda value: line(value, longest=LONGEST["category"]),
    "price": price,
    "currency": currency,
    "image_url": url,
    "url": url,
    "in_stock": stock,
    "group_id": lambda value: line(value, longest=LONGEST["group_id"]),
}


# --- own columns ---------------------------------------------------------------------------------


def kind_of(value: object, *, typed: bool) -> str:
    """The narrowest type of one value: number, boolean, time, list, text; "code" is a text that
    must never become a number; "" is no value; "object" has no place in a catalog.

    `typed` values come from JSON and mean what they are; others are cells of a table.
    """
    if value is None or value == "":
        return ""
    if isinstance(value, str):
        if TIME.fullmatch(value) and _moment(value) is not None:
            return "time"
        return "text" if typed else _kind_of_cell(value)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number" if abs(value) < LARGEST_NUMBER else "code"
    return "list" if isinstance(value, list) else "object"


def _kind_of_cell(cell: str) -> str:
    if NUMBER.fullmatch(cell):
        return "code" if CODE.fullmatch(cell) or abs(float(cell)) >= LARGEST_NUMBER else "number"
    if CODE.fullmatch(cell):
        return "code"
    if cell.lower() in {"true", "false", "yes", "no"}:
        return "boolean"
    return "text" if _words_of_cell(cell) is None else "list"


def own(value: object, kind: str, *, typed: bool) -> Any:
    """A value of an own column of a type; None for no value."""
    if isinstance(value, str) and not typed:
        value = value.strip()
    if value is None or value == "":
        return None
    match kind:
        case "number":
            return _number(value, typed=typed)
        case "boolean":
            return _boolean(value, typed=typed)
        case "time":
            return _time(value)
        case "list":
            return _list(value, typed=typed)
    return text(value, longest=LONGEST_TEXT) or None


def _number(value: object, *, typed: bool) -> int | float:
    if kind_of(value, typed=typed) == "number":
        if isinstance(value, str):
            return int(value) if value.lstrip("-").isdecimal() else float(value)
        if isinstance(value, int | float):
            return value
    raise ValueError(f"expected a number, not {_shown(value)}")


def _boolean(value: object, *, typed: bool) -> bool:
    if isinstance(value, bool):
        return value
    if not typed and isinstance(value, str) and kind_of(value, typed=False) == "boolean":
        return value.lower() in {"true", "yes"}
    raise ValueError(f"expected true or false, not {_shown(value)}")


def _time(value: object) -> str:
    moment = _moment(value) if isinstance(value, str) and TIME.fullmatch(value) else None
    if moment is None:
        raise ValueError(f"expected a time such as 2026-11-02T12:00:00Z, not {_shown(value)}")
    return moment.isoformat().replace("+00:00", "Z")


def _moment(value: str) -> datetime | None:
    """UTC, also where it does not say."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _list(value: object, *, typed: bool) -> list[str] | None:
    words = value if isinstance(value, list) else [value]
    if isinstance(value, str) and not typed:
        words = _words_of_cell(value) or [value]
    if len(words) > MOST_WORDS:
        raise ValueError(f"has more than {MOST_WORDS} entries")
    return [found for word in words if (found := text(word, longest=LONGEST_WORD))] or None


def _words_of_cell(cell: str) -> list[Any] | None:
    """Of '["a", "b"]' or 'a|b'; None for a cell that is no list."""
    if cell.startswith("[") and cell.endswith("]"):
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, list) else None
    parts = cell.split("|")
    tight = all(part and part == part.strip() and len(part) <= 50 for part in parts)
    return parts if len(parts) > 1 and tight else None


def as_text(value: object) -> str | None:
    """A scalar as text; None for anything else."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return None


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "an object"


def _shown(value: object) -> str:
    found = as_text(value)
    return _kind(value) if found is None else f"“{printable(found, longest=30)}”"


def printable(text: str, *, longest: int) -> str:
    """The beginning of somebody's text, fit for an answer and for a terminal."""
    return UNPRINTABLE.sub("�", text[:longest])
