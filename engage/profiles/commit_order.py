"""Where the finished transactions end: what lies before can be read in commit order, once."""

from typing import Final

# Transactions of other databases of the same server cannot write our rows, so those are left out:
# the locks say who runs a transaction, the activity where. One that just ended counts as open.
HORIZON: Final = """
(SELECT coalesce(min(open.xid), pg_snapshot_xmax(pg_current_snapshot())::text::bigint)
 FROM (SELECT x::text::bigint AS xid FROM pg_snapshot_xip(pg_current_snapshot()) AS x) AS open
 WHERE NOT EXISTS (
    SELECT 1 FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
      AND l.transactionid::text::bigint = mod(open.xid, 4294967296)
      AND a.datid <> (SELECT oid FROM pg_database WHERE datname = current_database())))
"""
