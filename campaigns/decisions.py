"""What became of each person of a run: exactly one decision, with its reason.

Somebody with several devices has several messages and one decision, that of the message that came
furthest. Where a server or an event asks, each message is an occasion of its own: `each` lists
them all.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

HELD_OUT: Final = "held_out"
FIRST: Final = UUID(int=0)  # before every message
# The furthest first: of two devices, one that got it counts.
ORDER: Final = (
    "accepted", "attempting", "leased", "planned", "unknown", "failed", "expired", "cancelled",
    "suppressed",
)  # fmt: skip
DECISIONS: Final = """
WITH decision AS (
  SELECT profile_id, 'held_out' AS decision, '' AS reason, NULL::uuid AS message_id,
    NULL::timestamptz AS at, NULL::timestamptz AS until, '[]'::jsonb AS items, '' AS channel
  FROM campaigns_controlmember WHERE run_id = %(run)s AND profile_id > %(after)s
  UNION ALL
  (SELECT DISTINCT ON (profile_id, CASE WHEN %(each)s THEN id END) profile_id, state,
     CASE state WHEN 'attempting' THEN '' ELSE reason END, id, finished_at,
     CASE WHEN state = 'planned' THEN not_before END, items, channel
   FROM delivery_message WHERE run_id = %(run)s AND (profile_id > %(after)s
     OR %(each)s AND profile_id = %(after)s AND id > %(after_message)s)
   ORDER BY profile_id, CASE WHEN %(each)s THEN id END,
     array_position(%(order)s::text[], state::text), id)
)
"""
LIST: Final = f"""{DECISIONS}
SELECT profile_id, decision, reason, message_id, at, until, items::text, channel FROM decision
WHERE (%(decision)s = '' OR decision = %(decision)s) AND (%(reason)s = '' OR reason = %(reason)s)
  AND (%(people)s::bigint[] IS NULL OR profile_id = ANY(%(people)s))
ORDER BY profile_id, message_id LIMIT %(limit)s
"""  # noqa: S608
COUNT: Final = f"""{DECISIONS}
SELECT decision, reason, count(*) FROM decision GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""  # noqa: S608


class Decision(NamedTuple):
    profile_id: int
    decision: str  # "held_out", or the state of the message
    reason: str
    message_id: Any
    at: datetime | None
    until: datetime | None  # when it is due, while it waits
    items: str  # JSON: what was shown, or by which rule it was capped
    channel: str  # of the message; in quiet hours it may be another than the campaign's


class Count(NamedTuple):
    decision: str
    reason: str
    people: int  # or messages, where each was counted


def list_decisions(
    run_id: int,
    *,
    decision: str = "",
    reason: str = "",
    people: Sequence[int] | None = None,
    each: bool = False,
    after: int = 0,
    after_message: UUID = FIRST,
    limit: int = 100,
) -> Sequence[Decision]:
    """By profile id, from behind `after`; of those `people` alone where they are given.

    `each`: every message of a person, in the order of planning, from behind `after_message`.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            LIST,
            {
                "run": run_id,
                "decision": decision,
                "reason": reason,
                "people": None if people is None else list(people),
                "each": each,
                "after": after,
                "after_message": str(after_message),
                "limit": limit,
                "order": list(ORDER),
            },
        )
        return [Decision(*row) for row in cursor.fetchall()]


def count_decisions(run_id: int, *, each: bool = False) -> Sequence[Count]:
    """People by decision and reason, the largest first. Their sum is the run's audience so far;
    of `each` message, the planned messages."""
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT,
            {
                "run": run_id,
                "each": each,
                "after": 0,
                "after_message": str(FIRST),
                "order": list(ORDER),
            },
        )
        return [Count(*row) for row in cursor.fetchall()]
