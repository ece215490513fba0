"""Deleting what is over, a bounded number of rows at a time."""

from datetime import datetime

from django.db import connection


def delete_in_sweeps(statement: str, *, now: datetime, rows: int, sweeps: int) -> int:
    """Run a DELETE of `now` and `rows` until it finds fewer; at most so often. How many are gone.

    Safe to run twice: what one sweep leaves, the next one finds.
    """
    deleted = 0
    for _ in range(sweeps):
        with connection.cursor() as cursor:
            cursor.execute(statement, [now, rows])
            deleted += cursor.rowcount
            if cursor.rowcount < rows:
                break
    return deleted
