"""Reading the times that clients state, however they write them."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from engage.lib.clock import to_millis

AHEAD_MS: Final = 86_400_000  # an event may lie so far in the future; clocks and zones are wrong
# Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, told by their size.
LARGEST_SECONDS: Final = 1e11
LARGEST_MILLIS: Final = 1e14


def parse(value: str | int | float | None) -> int | None:
    """Milliseconds since 1970; None for what is no time."""
    if not isinstance(value, str):
        return None if value is None else from_number(value)
    try:
        moment = datetime.fromisoformat(value)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return parse_loosely(value.strip())


def parse_loosely(text: str) -> int | None:
    """A number in quotes, ISO with a zone's name, the date of a mail."""
    if not text:
        return None
    try:
        return from_number(float(text))
    except ValueError:
        pass
    try:
        return to_millis(datetime.fromisoformat(text.removesuffix("UTC").strip() + "+00:00"))
    except (ValueError, OverflowError):
        pass
    try:
        moment = parsedate_to_datetime(text)
        return to_millis(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def from_number(number: float) -> int | None:
    size = abs(number)
    if size != size or size > 1e22:
        return None
    if size < LARGEST_SECONDS:
        return round(number * 1000)
    while abs(number) >= LARGEST_MILLIS:
        number /= 1000
    return round(number)
