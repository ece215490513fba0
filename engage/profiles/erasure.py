"""Forgetting a person: the journal first, then every table, so that a crash only delays it."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from engage.lib import failpoints, locks
from engage.profiles import activity, history_blocks
from engage.profiles.models import Erasure
from engage.profiles.store import WHO_IS_WHO

# With the profile go those that were merged into it: rows of the columnar history may have their
# numbers, so the journal has them too.
NUMBERS: Final = "SELECT id FROM profiles_profile WHERE id = %(id)s OR merged_into = %(id)s"
JOURNAL: Final = """
INSERT INTO profiles_erasure (profile_id, requested_at)
SELECT number, %s FROM unnest(%s::bigint[]) AS number ORDER BY number ON CONFLICT DO NOTHING
"""
NAMES: Final = "SELECT kind, value FROM profiles_identity WHERE profile_id = ANY(%s)"
REPEATED: Final = timedelta(days=2)  # by a nightly task, so once or twice
TABLES: Final = ("consent", "device", "activity", "event", "notice", "identity")


def erase(profile_id: int, *, now: datetime) -> None:
    """Erase a living profile everywhere it is kept today. Safe to run twice.

    The rooms above take part by `settings.ERASERS`: functions of a profile id, each safe to run
    twice. Events that still wait in the queue make a new person, who knows only those.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        locks.hold(cursor, WHO_IS_WHO)
        cursor.execute(NUMBERS, {"id": profile_id})
        numbers = [row[0] for row in cursor.fetchall()]
        cursor.execute(JOURNAL, [now, numbers])
    for number in sorted(numbers):
        carry_out(number, now=now)


def finish_open(*, now: datetime) -> int:
    """Carry out what a crash left open; how many."""
    numbers = Erasure.objects.filter(finished_at=None).values_list("profile_id", flat=True)
    for number in list(numbers.order_by("profile_id")):
        carry_out(number, now=now)
    return len(numbers)


def repeat(*, now: datetime) -> int:
    """Let the rooms above forget once more who was erased in the last days; how many.

    There, a transaction that was open then, of who plans or records a message, may have left a row
    behind what was deleted.
    """
    recent = Erasure.objects.filter(finished_at__gte=now - REPEATED)
    numbers = list(recent.order_by("profile_id").values_list("profile_id", flat=True))
    for number in numbers:
        forget_above(number)
    return len(numbers)


def forget_above(number: int) -> None:
    for path in settings.ERASERS:
        import_string(path)(number)
        failpoints.reach("C19")


def carry_out(number: int, *, now: datetime) -> None:
    forget_above(number)
    with transaction.atomic(), connection.cursor() as cursor:
        locks.hold(cursor, WHO_IS_WHO)
        forget(cursor, number)
        Erasure.objects.filter(profile_id=number, finished_at=None).update(finished_at=now)


def forget(cursor: Any, number: int) -> None:
    """Delete the rows of one number in this room, and the hints of its names."""
    cursor.execute(NAMES, [[number]])
    activity.forget_pending(cursor.fetchall())
    for table in TABLES:
        cursor.execute(f"DELETE FROM profiles_{table} WHERE profile_id = %s", [number])  # noqa: S608
    cursor.execute(
        "DELETE FROM profiles_merge WHERE winner_id = %s OR loser_id = %s", [number, number]
    )
    cursor.execute("DELETE FROM profiles_profile WHERE id = %s", [number])
    history_blocks.mark_stale(cursor)  # reads leave the number out now, the rebuild for good
