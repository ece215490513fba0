"""What dead workers held is taken back, and what nobody can send in time any more is closed.

Leases are measured by the database's clock; `now` decides what has expired. Sweeps skip what
others have locked: what one leaves, the next one finds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from delivery import policy
from delivery.attempts import Attempt, add_attempts
from delivery.models import RunHold
from delivery.outbox import CANCEL, SWEEP


@dataclass(frozen=True, slots=True)
class Reaped:
    returned: int  # leased, never called: planned again
    unknown: int  # called, and the answer never came
    cancelled: int
    expired: int = 0  # nobody could claim them in time: the run paused, or the channel did


RETURN: Final = """
WITH dead AS (
  SELECT profile_id, id FROM delivery_message
  WHERE state = 'leased' AND lease_until < clock_timestamp()
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE delivery_message m SET state = 'planned', lease_token = NULL, lease_until = NULL
FROM dead WHERE m.profile_id = dead.profile_id AND m.id = dead.id
"""
# The token stays: a late answer to the same call may still resolve the row. Where the channel's
# policy allows, the message is planned again instead; a late answer is fenced then. Of one that is
# heard of by a receipt, no answer was needed.
GIVE_UP: Final = """
WITH dead AS (
  SELECT profile_id, id, lease_token,
    channel = ANY(%(retried)s) AND attempt < %(attempts)s AND expires_at > %(again)s AS again
  FROM delivery_message
  WHERE state = 'attempting' AND lease_until < clock_timestamp()
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE delivery_message m SET
  state = CASE WHEN again THEN 'planned' WHEN m.reason = 'heard' THEN 'accepted'
    ELSE 'unknown' END,
  reason = CASE WHEN again OR m.reason = 'heard' THEN '' ELSE 'no_answer' END,
  not_before = CASE WHEN again THEN %(again)s ELSE m.not_before END,
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
    returned = sum(_sweep(RETURN, {}))
    unknown = sum(_give_up(now))
    held = RunHold.objects.filter(state=RunHold.State.CANCELLED).values_list("run_id", flat=True)
    cancelled = sum(sum(_sweep(CANCEL, {"run_id": run_id, "now": now})) for run_id in held)
    expired = sum(_sweep(EXPIRE, {"now": now}))
    return Reaped(returned, unknown, cancelled, expired)


def _sweep(statement: str, parameters: dict[str, Any]) -> Iterator[int]:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters | {"limit": SWEEP})
            moved = int(cursor.rowcount)
        yield moved
        if moved < SWEEP:
            return


def _give_up(now: datetime) -> Iterator[int]:
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                GIVE_UP,
                {
                    "now": now,
                    "limit": SWEEP,
                    "retried": list(policy.RETRY_UNKNOWN),
                    "attempts": policy.MAX_ATTEMPTS,
                    "again": now + timedelta(seconds=policy.FIRST_PAUSE_SECONDS),
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
