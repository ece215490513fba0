"""The present moment. Functions take `now` as an argument; only doors ask here."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def from_millis(millis: int) -> datetime:
    """Milliseconds since 1970 as an aware UTC time."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def to_millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
