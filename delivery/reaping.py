"""What dead workers held is taken back, and what nobody can send in time any more is closed.

Leases are measured by the database's clock; `now` decides what has expired. Sweeps skip what
others have locked: what one leaves, the next one finds.

A message may be what its holder died of. Each return is counted, and the claim gives it ever fewer
neighbours (`claiming.claim`); one that was returned too often is closed. The groups are of one by
then, so a process killed for another reason would have to die five times with the same message.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from delivery import policy
from delivery.attempts import Attempt, add_attempts
from delivery.models import Message
from delivery.outbox import CANCEL, SWEEP

logger = logging.getLogger(__name__)
State = Message.State


@dataclass(frozen=True, slots=True)
class Reaped:
    returned: int  # leased, never called: planned again
    unknown: int  # called, and the answer never came
    cancelled: int
    expired: int = 0  # nobody could claim them in time: the run paused, or the channel did
    quarantined: int = 0  # whoever held them died, again and again


RETURN: Final = """
WITH dead AS (
  SELECT profile_id, id, returned + 1 AS returned FROM delivery_message
  WHERE state = 'leased' AND lease_until < clock_timestamp()
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE delivery_message m SET
  state = CASE WHEN dead.returned < %(most)s THEN 'planned' ELSE 'failed' END,
  reason = CASE WHEN dead.returned < %(most)s THEN '' ELSE %(reason)s END,
  finished_at = CASE WHEN dead.returned < %(most)s THEN NULL ELSE %(now)s END,
  returned = dead.returned, lease_token = NULL, lease_until = NULL
FROM dead WHERE m.profile_id = dead.profile_id AND m.id = dead.id
RETURNING m.id, m.state
"""
# The token stays: a late answer to the same call may still resolve the row. Where the channel's
# policy allows, the message is planned again instead; a late answer is fenced then. That is a
# return, too: a call can kill as composing can. Who was called, though, never counts as not sent.
# Of one that is heard of by a receipt, no answer was needed. A pause is longer by the message's
# own jitter, as in `policy.jitter_of`.
GIVE_UP: Final = """
WITH dead AS (
  SELECT m.profile_id, m.id, m.lease_token, wait.until,
    m.reason <> 'heard' AND m.returned + 1 < %(most)s
      AND coalesce(wait.until < m.expires_at, false) AS again
  FROM delivery_message m
  LEFT JOIN unnest(%(channels)s::text[], %(asked_for)s::boolean[], %(calls)s::int[],
                   %(pauses)s::interval[], %(jitters)s::float8[])
              AS a (channel, asked_for, calls, pause, jitter)
    ON a.channel = m.channel AND a.asked_for = (m.kind = 'transactional')
      AND a.calls = m.attempt - m.calls_before
  CROSS JOIN LATERAL (
    SELECT %(now)s + a.pause * (1 + a.jitter
      * ('x' || right(m.id::text, 8))::bit(32)::bigint / 4294967296.0) AS until) wait
  WHERE m.state = 'attempting' AND m.lease_until < clock_timestamp()
  LIMIT %(limit)s FOR UPDATE OF m SKIP LOCKED
)
UPDATE delivery_message m SET
  state = CASE WHEN again THEN 'planned' WHEN m.reason = 'heard' THEN 'accepted'
    ELSE 'unknown' END,
  reason = CASE WHEN again OR m.reason = 'heard' THEN '' ELSE %(reason)s END,
  not_before = CASE WHEN again THEN dead.until ELSE m.not_before END,
  returned = m.returned + again::int,
  lease_token = CASE WHEN again THEN NULL ELSE m.lease_token END,
  finished_at = CASE WHEN again THEN NULL ELSE %(now)s END
FROM dead WHERE m.profile_id = dead.profile_id AND m.id = dead.id
RETURNING m.profile_id, m.id, m.attempt, dead.lease_token, m.state
"""


EXPIRE: Final = """
WITH late AS (
  SELECT profile_id, id FROM delivery_message
  WHERE state = 'planned' AND expires_at <= %(now)s
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE delivery_message m SET state = 'expired', reason = 'expired', finished_at = %(now)s
FROM late WHERE m.profile_id = late.profile_id AND m.id = late.id
"""


def reap(now: datetime) -> Reaped:
    """Take back what dead workers held, and close what nobody can send in time any more.

    Safe to run twice, and by several at once.
    """
    returned, quarantined = _return(now)
    unknown = sum(_give_up(now))
    cancelled = sum(_sweep(CANCEL, {"run_id": None, "now": now}))
    expired = sum(_sweep(EXPIRE, {"now": now}))
    return Reaped(returned, unknown, cancelled, expired, quarantined)


def _return(now: datetime) -> tuple[int, int]:
    """How many are planned again, and how many were returned too often."""
    parameters: dict[str, Any] = {
        "now": now,
        "limit": SWEEP,
        "most": policy.MOST_RETURNS,
        "reason": policy.QUARANTINED,
    }
    returned = quarantined = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(RETURN, parameters)
            rows = cursor.fetchall()
        closed = [str(message_id) for message_id, state in rows if state == State.FAILED]
        if closed:
            logger.warning("messages quarantined", extra={"message_ids": closed[:100]})
        quarantined += len(closed)
        returned += len(rows) - len(closed)
        if len(rows) < SWEEP:
            return returned, quarantined


def _sweep(statement: str, parameters: dict[str, Any]) -> Iterator[int]:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters | {"limit": SWEEP})
            moved = int(cursor.rowcount)
        yield moved
        if moved < SWEEP:
            return


def _called_again() -> dict[str, list[Any]]:
    """The policy after an unknown outcome as columns, for the statement that obeys it."""
    rows = [
        (channel, asked_for, calls, *_pause(channel, again, calls=calls))
        for asked_for, of_kind in ((False, policy.AGAIN), (True, policy.TRANSACTIONAL_AGAIN))
        for channel, again in of_kind.items()
        for calls in range(1, again.most_calls)
    ]
    names = ("channels", "asked_for", "calls", "pauses", "jitters")
    return {
        name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def _pause(channel: str, again: policy.Again, *, calls: int) -> tuple[timedelta, float]:
    """After so many calls, and its jitter. The lease that ran out was a pause already."""
    if channel in policy.PAUSES_SECONDS:
        seconds = policy.pause_seconds(calls, channel=channel)
        return timedelta(seconds=seconds), policy.JITTER
    return timedelta(seconds=again.pause_seconds), 0.0


def _give_up(now: datetime) -> Iterator[int]:
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                GIVE_UP,
                {
                    "now": now,
                    "limit": SWEEP,
                    "most": policy.MOST_RETURNS,
                    "reason": policy.WORKER_DIED,
                    **_called_again(),
                },
            )
            rows = cursor.fetchall()
            add_attempts(
                [
                    Attempt(
                        profile_id,
                        message_id,
                        attempt,
                        token,
                        "unknown",
                        "no answer before the lease ended",
                    )
                    for profile_id, message_id, attempt, token, _ in rows
                ],
                started_at=now,
                ended_at=now,
            )
        yield sum(state != "accepted" for *_, state in rows)
        if len(rows) < SWEEP:
            return
