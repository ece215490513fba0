"""How many rows a table has, about, without reading it."""

from django.db import connection

# A partitioned table keeps no statistics of its own until it is analysed: its parts do.
ESTIMATE = """
SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class
WHERE oid = to_regclass(%(table)s) AND relkind <> 'p'
   OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%(table)s))
"""


def estimate_rows(table: str) -> int:
    """The planner's estimate; 0 for a table that was never analysed."""
    with connection.cursor() as cursor:
        cursor.execute(ESTIMATE, {"table": table})
        return int(cursor.fetchone()[0])


def count_rows(table: str, *, exact_below: int = 200_000) -> int:
    """Exact for small tables, the estimate for large ones."""
    estimate = estimate_rows(table)
    if estimate >= exact_below:
        return estimate
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
        return int(cursor.fetchone()[0])
