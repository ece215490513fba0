"""Advisory locks of PostgreSQL, by name. They end with the transaction that took them.

Those of a session outlive transactions: for work that takes longer than one should.
"""

import hashlib
from typing import Any


def number(name: str) -> int:
    """The 64-bit number that stands for the name in the lock table."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def hold(cursor: Any, name: str) -> None:
    """Wait for the name, alone."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number(name)])


def hold_shared(cursor: Any, name: str) -> None:
    """Wait for the name, together with others that hold it shared."""
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [number(name)])


def try_hold(cursor: Any, name: str) -> bool:
    """Take the name alone, if nobody has it now."""
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number(name)])
    return bool(cursor.fetchone()[0])


def try_hold_session(cursor: Any, name: str) -> bool:
    """Take the name until it is released or the connection ends, if nobody has it now."""
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [number(name)])
    return bool(cursor.fetchone()[0])


def release_session(cursor: Any, name: str) -> None:
    cursor.execute("SELECT pg_advisory_unlock(%s)", [number(name)])
