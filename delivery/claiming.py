"""The claim: due messages are leased to one worker, all under one token.

What was given back because its holder died comes first and apart, see `reaping.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.db.models.base import ModelState

from delivery import policy
from delivery.models import Message
from delivery.outbox import (
    OF_NO_RUN,
    OF_ONE_RUN,
    SWEEP,
    Planned,
    State,
    is_held,
    list_due_runs,
)

LEASED_COLUMNS: Final = (
    *Planned._fields,
    "state",
    "attempt",
    "calls_before",
    "returned",
    "lease_token",
    "lease_until",
)
CLAIM: Final = """
WITH due AS (
  SELECT profile_id, id FROM delivery_message
  WHERE channel = %(channel)s AND state = 'planned' AND {run} AND not_before <= %(now)s
    AND {returned}
  ORDER BY not_before LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE delivery_message m SET
  state = CASE WHEN m.expires_at <= %(now)s THEN 'expired' ELSE 'leased' END,
  reason = CASE WHEN m.expires_at <= %(now)s THEN 'expired' ELSE '' END,
  finished_at = CASE WHEN m.expires_at <= %(now)s THEN %(now)s END,
  lease_token = %(token)s,
  lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
FROM due WHERE m.profile_id = due.profile_id AND m.id = due.id
RETURNING {columns}
"""
NEVER_RETURNED: Final = "returned = 0"
RETURNED: Final = "returned > 0 AND returned = %(returned)s"  # so its partial index serves
# Whose holder died: the least suspect first, each run and number of returns by itself.
SUSPECTS: Final = """
SELECT m.run_id, m.returned FROM delivery_message m
WHERE m.channel = %(channel)s AND m.state = 'planned' AND m.returned > 0
  AND m.not_before <= %(now)s
  AND NOT EXISTS (SELECT 1 FROM delivery_runhold hold WHERE hold.run_id = m.run_id)
GROUP BY m.run_id, m.returned ORDER BY m.returned, min(m.not_before)
"""
SHRINKS: Final = 8  # a group of them, by so much with each return


def claim(
    *,
    channel: str,
    limit: int,
    now: datetime,
    run_id: int | None = None,
    most: Mapping[int | None, int] | None = None,
) -> list[Message]:
    """Lease due messages to the caller, all under one new token; the expired are closed instead.

    Two claimers never get the same row. Nothing is claimed while the channel pauses. An empty
    claim does not mean that nothing is due: what it closes has a bound, too. `most` has how many
    of each run may go where rates hold them back; of a run that it does not name, none.

    What somebody waits for fills the claim before campaigns do, see `list_due_runs`. What was
    given back because its holder died comes first and by itself, in groups that shrink with each
    return: one of them may have killed it, and its neighbours get away from it.
    """
    if is_held(channel, now=now):
        return []
    token = uuid4()
    for due_run, returned in _list_suspects(channel, now=now):
        room = _group_size(limit, returned=returned)
        if most is not None:
            room = min(room, most.get(due_run, 0))
        if room <= 0 or (run_id is not None and due_run != run_id):
            continue
        rows = _claim_run(
            due_run, channel=channel, limit=room, token=token, now=now, returned=returned
        )
        if suspects := [row for row in rows if row.state == State.LEASED]:
            return sorted(suspects, key=_place)
    claimed: list[Message] = []
    touched = 0  # rows leased or closed in this transaction
    for due_run, _ in list_due_runs(channel, now=now):
        if run_id is not None and due_run != run_id:
            continue
        room = limit - len(claimed)
        if most is not None:
            room = min(room, most.get(due_run, 0))
        while room > 0 and touched < limit + SWEEP:
            rows = _claim_run(due_run, channel=channel, limit=room, token=token, now=now)
            if not rows:
                break
            touched += len(rows)
            leased = [row for row in rows if row.state == State.LEASED]
            claimed += leased
            room -= len(leased)
    return sorted(claimed, key=_place)


def _place(message: Message) -> tuple[int, UUID]:
    """In this order everybody locks several messages, so that nobody waits in a ring."""
    return message.profile_id, message.id


def _group_size(limit: int, *, returned: int) -> int:
    """So many may share a claim; before the last return nobody shares it."""
    last = returned >= policy.MOST_RETURNS - 1
    return 1 if last else max(1, limit // SHRINKS**returned)


def _list_suspects(channel: str, *, now: datetime) -> list[tuple[int | None, int]]:
    with connection.cursor() as cursor:
        cursor.execute(SUSPECTS, {"channel": channel, "now": now})
        return list(cursor.fetchall())


def _claim_run(
    run_id: int | None,
    *,
    channel: str,
    limit: int,
    token: UUID,
    now: datetime,
    returned: int = 0,
) -> list[Message]:
    statement = CLAIM.format(
        run=OF_NO_RUN if run_id is None else OF_ONE_RUN,
        returned=RETURNED if returned else NEVER_RETURNED,
        columns=", ".join(f"m.{name}" for name in LEASED_COLUMNS),
    )
    parameters = {
        "channel": channel,
        "run_id": run_id,
        "returned": returned,
        "now": now,
        "limit": limit,
        "token": token,
        "lease": settings.SEND_LEASE_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [_message(row) for row in cursor.fetchall()]


def _message(row: Sequence[Any]) -> Message:
    """As `from_db` makes it, without its look at every field."""
    message = Message.__new__(Message)
    message._state = ModelState()
    message._state.adding = False
    message.__dict__.update(zip(LEASED_COLUMNS, row, strict=True))
    return message
