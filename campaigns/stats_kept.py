"""The figures of a large run, kept for a minute: its page may be looked at by many, and reloaded.

Counting a million messages takes seconds of a processor. What was counted is kept as a whole, so
that it still adds up, and the page says when it was counted.
"""

from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from redis import RedisError

from campaigns import stats
from campaigns.models import Run
from engage.lib.redis import client, key

LARGE: Final = 100_000  # messages; smaller runs are counted each time
KEPT_SECONDS: Final = 60


class Counted(NamedTuple):
    page: dict[str, Any]  # as `stats.run_page` says it
    planned: int  # of the run, as it stood before the count
    at: datetime | None  # None: just now, and not kept


def run_page(run: Run, *, machines: bool = False, now: datetime) -> Counted:
    """At most a minute old. Two who come at once both count; while Redis is away, everybody."""
    name = key("run_page", run.pk, int(machines))
    if found := _find(name):
        return found
    counted = Counted(stats.run_page(run, machines=machines), run.planned, None)
    if counted.page["figures"]["planned"] < LARGE:
        return counted
    counted = counted._replace(at=now)
    with suppress(RedisError):
        client().set(name, msgspec.json.encode(counted), ex=KEPT_SECONDS)
    return counted


def _find(name: str) -> Counted | None:
    """None, too, where another version of the program kept something else."""
    try:
        kept = client().get(name)
        return msgspec.json.decode(kept, type=Counted) if kept else None
    except (RedisError, msgspec.DecodeError):
        return None
