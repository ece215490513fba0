"""Webhooks that their receiver did not take, sent again because somebody says so.

The messages are the same: their key is what the receiver knows them by, and the mark judges them
as any other. They only become planned again, with new time and the whole schedule of calls.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import connection, transaction

from delivery import endpoints, policy
from delivery.outbox import SWEEP

CHANNEL: Final = "webhook"
LOOKED_BACK: Final = timedelta(days=30)  # from the planning, so that it ends however often
MOST: Final = 50_000  # messages by one press
# What speaks of the receiver and not of the message: one too large would be so again. What expired
# uncalled, in a run that was paused, is not the receiver's fault either. What was cancelled stays
# so, whatever became of a message before.
NOT_TAKEN: Final = """
m.channel = %(channel)s AND m.campaign_id = ANY(%(campaigns)s) AND m.created_at >= %(since)s
AND m.kind IN ('campaign', 'triggered', 'transactional')
AND m.state IN ('failed', 'unknown', 'expired', 'suppressed')
AND CASE m.state
  WHEN 'failed' THEN m.reason IN ('unavailable', 'url_not_allowed', 'address_not_public')
    OR starts_with(m.reason, 'http_')
  WHEN 'expired' THEN m.attempt > m.calls_before
  WHEN 'suppressed' THEN m.reason = %(disabled)s
  ELSE true END
AND NOT EXISTS (SELECT 1 FROM delivery_runhold hold
                WHERE hold.run_id = m.run_id AND hold.state = 'cancelled')
"""
COUNT: Final = f"""
SELECT state, reason, count(*) FROM (
  SELECT m.state, m.reason FROM delivery_message m WHERE {NOT_TAKEN} LIMIT %(limit)s) AS found
GROUP BY state, reason ORDER BY 3 DESC, 1, 2
"""  # noqa: S608
# SKIP LOCKED: what an answer is about to be written to is not waited for. Without its token, a
# late answer to a call of before changes nothing.
PLAN_AGAIN: Final = f"""
WITH found AS (
  SELECT m.profile_id, m.id FROM delivery_message m WHERE {NOT_TAKEN}
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE delivery_message m SET state = 'planned', reason = '', not_before = %(now)s,
  expires_at = %(expires_at)s, calls_before = m.attempt, returned = 0,
  lease_token = NULL, lease_until = NULL, finished_at = NULL
FROM found WHERE m.profile_id = found.profile_id AND m.id = found.id
"""  # noqa: S608


def kept_for(channel: str) -> timedelta:
    """So long after its planning a message may still go: what it says must be known."""
    return LOOKED_BACK + policy.useful_for(channel) if channel == CHANNEL else timedelta(0)


class Again(NamedTuple):
    messages: int
    more: bool  # as many as one press moves: others may wait


def count(campaign_ids: Sequence[int], *, now: datetime) -> dict[str, int]:
    """By state and reason, the most first; of all together at most as many as one press moves."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, _parameters(campaign_ids, now=now) | {"limit": MOST})
        return {
            f"{state}: {reason}" if reason and reason != state else state: messages
            for state, reason, messages in cursor.fetchall()
        }


def plan_again(campaign_ids: Sequence[int], *, now: datetime) -> Again:
    """Plan again what receivers of these campaigns did not take lately. Safe to run twice: what
    is planned is not found again."""
    parameters = _parameters(campaign_ids, now=now) | {
        "now": now,
        "expires_at": now + policy.useful_for(CHANNEL),
    }
    moved = 0
    while moved < MOST:
        limit = min(SWEEP, MOST - moved)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PLAN_AGAIN, parameters | {"limit": limit})
            found = int(cursor.rowcount)
        moved += found
        if found < limit:
            return Again(moved, more=False)
    return Again(moved, more=True)


def _parameters(campaign_ids: Sequence[int], *, now: datetime) -> dict[str, Any]:
    return {
        "channel": CHANNEL,
        "campaigns": list(campaign_ids),
        "since": now - LOOKED_BACK,
        "disabled": endpoints.DISABLED,
    }
