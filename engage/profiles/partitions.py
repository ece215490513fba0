"""The months of the event table: made when events need them, dropped when they are too old."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection, transaction

from engage.lib import clock, locks
from engage.profiles.events import EARLIEST

DAY_MS: Final = 86_400_000
TABLE: Final = "profiles_event"
LIST: Final = """
SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'profiles_event'::regclass
"""


def month_of(moment: datetime) -> tuple[int, int]:
    return moment.year, moment.month


def months_of(times: Iterable[int]) -> set[tuple[int, int]]:
    """The months of times in ms."""
    days = {ts_ms // DAY_MS for ts_ms in times}
    return {month_of(clock.from_millis(day * DAY_MS)) for day in days}


def name_of(month: tuple[int, int]) -> str:
    return f"{TABLE}_{month[0]:04d}_{month[1]:02d}"


def bounds_of(month: tuple[int, int]) -> tuple[datetime, datetime]:
    year, number = month
    following = (year + number // 12, number % 12 + 1)
    return datetime(year, number, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)


def list_partitions(cursor: Any) -> set[str]:
    cursor.execute(LIST)
    return {row[0] for row in cursor.fetchall()}


def oldest_moment(cursor: Any) -> datetime:
    """Where the oldest month that is kept begins."""
    names = list_partitions(cursor)
    if not names:
        return EARLIEST
    year, month = min(names).removeprefix(f"{TABLE}_").split("_")
    return datetime(int(year), int(month), 1, tzinfo=UTC)


def ensure(months: Iterable[tuple[int, int]]) -> None:
    """Make the partitions that are missing.

    Built apart and then attached: that does not wait for readers and writers of other months.
    """
    wanted = {name_of(month): month for month in months}
    with connection.cursor() as cursor:
        if wanted.keys() <= list_partitions(cursor):
            return
        with transaction.atomic():
            locks.hold(cursor, "profiles: partitions")
            for name in sorted(wanted.keys() - list_partitions(cursor)):
                start, end = bounds_of(wanted[name])
                cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING ALL)")
                cursor.execute(
                    f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
                    [start, end],
                )


def drop_before(moment: datetime) -> list[str]:
    """Drop the months that ended before the moment; their names. Safe to run twice."""
    with connection.cursor() as cursor, transaction.atomic():
        locks.hold(cursor, "profiles: partitions")
        last = name_of(month_of(moment))
        old = sorted(name for name in list_partitions(cursor) if name < last)
        for name in old:
            cursor.execute(f"DROP TABLE {name}")
    return old
