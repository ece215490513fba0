"""The send ledger before the call: plan, release, hold, cancel, and its sums.

    planned ──claim──▶ leased ──mark──▶ attempting ──record──▶ accepted | failed
     │ ▲                  │                 │ └──record──▶ planned (the provider said: later)
     │ └─release, reap ───┘                 └──reap──▶ unknown ──late record──▶ accepted | failed
     │                                              │      └──late record──▶ planned
     │                                              └ (or planned again, where the policy allows)
     └─reap──▶ expired

A receipt says that a message was sent after all: what waits for another call is accepted then.
What a receiver of webhooks did not take, failed, expired, suppressed or unknown, a human can have
planned again (`replay.py`).

`claiming.py` has the claim, `marking.py` the mark and the record, and `reaping.py` takes back what
dead workers held. Every move is one statement that names the state it leaves and, past the claim,
the token of the lease. A lease is measured by the database's clock, so a wrong clock elsewhere
cannot break one; `now` decides what is due and what has expired.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from delivery import policy
from delivery.models import ChannelPause, Halt, Message, RunHold
from engage.lib.bulk import arrays

State = Message.State
# Which state may follow which; tests hold every statement here to it.
MOVES: Final = {
    State.PLANNED: {
        State.LEASED,
        State.EXPIRED,
        State.CANCELLED,
        State.SUPPRESSED,
        State.ACCEPTED,
    },
    State.LEASED: {
        State.PLANNED,
        State.ATTEMPTING,
        State.SUPPRESSED,
        State.EXPIRED,
        State.CANCELLED,
        State.FAILED,
        State.ACCEPTED,
    },
    State.ATTEMPTING: {
        State.ACCEPTED,
        State.FAILED,
        State.EXPIRED,
        State.PLANNED,
        State.UNKNOWN,
    },
    State.UNKNOWN: {State.ACCEPTED, State.FAILED, State.PLANNED},
    # By hand, where the receiver was away.
    State.FAILED: {State.PLANNED},
    State.EXPIRED: {State.PLANNED},
    State.SUPPRESSED: {State.PLANNED},
}
CAREFUL: Final = timedelta(minutes=1)  # after a pause of a channel
SWEEP = 10_000  # rows moved by one statement of a sweep
OF_ONE_RUN: Final = "run_id = %(run_id)s"
OF_NO_RUN: Final = "run_id IS NULL"


class Planned(NamedTuple):
    """A message before its row is written; `Message` says what the fields mean."""

    profile_id: int
    id: UUID
    key: UUID
    kind: str
    campaign_id: int
    run_id: int | None
    variant_id: int
    channel: str
    address_id: str
    topic: str
    priority: int
    quiet: str
    not_before: datetime
    expires_at: datetime
    created_at: datetime
    occasion: UUID | None = None


PLAN_TYPES: Final = (
    "bigint", "uuid", "uuid", "text", "bigint", "bigint", "bigint", "text", "text", "text",
    "smallint", "text", "timestamptz", "timestamptz", "timestamptz", "uuid",
)  # fmt: skip
PLAN: Final = """
INSERT INTO delivery_message ({names}, state, reason, attempt, provider_id, items)
SELECT *, 'planned', '', 0, '', '[]'::jsonb FROM unnest({arrays}) ON CONFLICT DO NOTHING
""".format(
    names=", ".join(Planned._fields),
    arrays=", ".join(f"%s::{kind}[]" for kind in PLAN_TYPES),
)


def plan(messages: Sequence[Planned]) -> int:
    """Write the planned messages in the caller's transaction; how many are new.

    Safe to run twice: a message is unique by its key.
    """
    if not messages:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(PLAN, arrays(messages))
        return int(cursor.rowcount)


def write_accepted(messages: Sequence[Message]) -> None:
    """Rows of messages that went another way: the app showed them itself. Safe to run twice."""
    for message in messages:
        message.state = State.ACCEPTED
        message.marked_at = message.finished_at = message.created_at
    Message.objects.bulk_create(messages, ignore_conflicts=True)


# One index probe per run that has something planned, so a paused run of millions costs nothing.
PLANNED_RUNS: Final = """
WITH RECURSIVE runs (run_id) AS (
  (SELECT m.run_id FROM delivery_message m
   WHERE m.channel = %(channel)s AND m.state = 'planned' AND m.run_id IS NOT NULL
   ORDER BY m.run_id LIMIT 1)
  UNION ALL
  SELECT after.run_id FROM runs CROSS JOIN LATERAL (
    SELECT m.run_id FROM delivery_message m
    WHERE m.channel = %(channel)s AND m.state = 'planned' AND m.run_id > runs.run_id
    ORDER BY m.run_id LIMIT 1) after
)
"""
LIST_PLANNED_RUNS: Final = f"{PLANNED_RUNS} SELECT run_id FROM runs"  # noqa: S608
# The messages of a run are of one kind: the first one says which.
DUE_RUNS: Final = f"""
{PLANNED_RUNS}, every (run_id) AS (
  SELECT run_id FROM runs UNION ALL SELECT NULL::bigint
)
SELECT every.run_id, first.not_before FROM every CROSS JOIN LATERAL (
  (SELECT m.not_before, m.kind FROM delivery_message m
   WHERE m.channel = %(channel)s AND m.state = 'planned' AND m.run_id = every.run_id
   ORDER BY m.not_before LIMIT 1)
  UNION ALL
  (SELECT m.not_before, m.kind FROM delivery_message m
   WHERE m.channel = %(channel)s AND m.state = 'planned' AND m.run_id IS NULL
     AND every.run_id IS NULL
   ORDER BY m.not_before LIMIT 1)) first
WHERE first.not_before <= %(now)s
  AND NOT EXISTS (SELECT 1 FROM delivery_runhold hold WHERE hold.run_id = every.run_id)
ORDER BY first.kind = ANY(%(awaited)s) DESC, first.kind = %(triggered)s DESC, first.not_before
"""  # noqa: S608


def list_due_runs(channel: str, *, now: datetime) -> list[tuple[int | None, datetime]]:
    """Runs with something due that nobody holds, in the order in which they go, with due times.

    What one person waits for comes first, then what an event sent, then campaigns; of equals the
    longest waiting. A backlog of campaigns takes minutes, and a new password must not.
    Messages outside any run, like test sends, come as the run None.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            DUE_RUNS,
            {
                "channel": channel,
                "now": now,
                "awaited": list(policy.AWAITED),
                "triggered": policy.TRIGGERED,
            },
        )
        return list(cursor.fetchall())


def list_planned_runs(channel: str) -> list[int]:
    """Runs with something planned, due or not."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_PLANNED_RUNS, {"channel": channel})
        return [run_id for (run_id,) in cursor.fetchall()]


def is_held(channel: str, *, now: datetime) -> bool:
    """Nothing of the channel goes out now: its provider asked for a pause, or all stands still."""
    paused = ChannelPause.objects.filter(channel=channel, until__gt=now)
    return Halt.objects.exists() or paused.exists()


def recovers(channel: str, *, now: datetime) -> bool:
    """Its pause ended a moment ago: one sender may find out whether its provider is back."""
    return ChannelPause.objects.filter(channel=channel, until__gt=now - CAREFUL).exists()


RELEASE: Final = """
UPDATE delivery_message m SET state = 'planned', lease_token = NULL, lease_until = NULL,
  not_before = greatest(m.not_before, asked.not_before)
FROM unnest(%(profiles)s::bigint[], %(ids)s::uuid[], %(not_before)s::timestamptz[])
       AS asked (profile_id, id, not_before)
WHERE m.profile_id = asked.profile_id AND m.id = asked.id
  AND m.state = 'leased' AND m.lease_token = %(token)s
"""


def release(messages: Iterable[Message], *, token: UUID, not_before: datetime) -> int:
    """Give claimed messages back that were not marked; how many."""
    return release_each([(message, not_before) for message in messages], token=token)


def release_each(due: Sequence[tuple[Message, datetime]], *, token: UUID) -> int:
    """As `release`, and each is due at a time of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            RELEASE,
            {
                "profiles": [m.profile_id for m, _ in due],
                "ids": [m.id for m, _ in due],
                "not_before": [at for _, at in due],
                "token": token,
            },
        )
        return int(cursor.rowcount)


def hold_run(run_id: int, *, state: RunHold.State) -> None:
    """From the commit on, no message of the run is marked."""
    RunHold.objects.update_or_create(run_id=run_id, defaults={"state": state})


def free_run(run_id: int) -> None:
    RunHold.objects.filter(run_id=run_id).delete()


# SKIP LOCKED: a sweep never waits for a mark, and so never meets one in a deadlock. What it
# leaves, the mark itself or the next sweep closes. One probe per run: holds stay for ever.
CANCEL: Final = """
WITH open AS (
  SELECT found.profile_id, found.id FROM delivery_runhold hold CROSS JOIN LATERAL (
    SELECT m.profile_id, m.id FROM delivery_message m
    WHERE m.run_id = hold.run_id AND m.state IN ('planned', 'leased')
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED) found
  WHERE hold.state = 'cancelled' AND hold.run_id = coalesce(%(run_id)s::bigint, hold.run_id)
  LIMIT %(limit)s
)
UPDATE delivery_message m SET state = 'cancelled', reason = 'cancelled', finished_at = %(now)s
FROM open WHERE m.profile_id = open.profile_id AND m.id = open.id
"""


def cancel_run(run_id: int, now: datetime) -> int:
    """Hold the run for ever and close what was not called yet; how many messages.

    A run with more than one sweep's worth is finished by the reaper; none of it is sent.
    """
    hold_run(run_id, state=RunHold.State.CANCELLED)
    with connection.cursor() as cursor:
        cursor.execute(CANCEL, {"run_id": run_id, "now": now, "limit": SWEEP})
        return int(cursor.rowcount)


# SKIP LOCKED: what an answer is about to be written to is not waited for, in any order.
SETTLE: Final = """
WITH unsettled AS (
  SELECT profile_id, id FROM delivery_message
  WHERE run_id = %(run_id)s AND state = 'unknown' AND lease_until IS NOT NULL
  FOR UPDATE SKIP LOCKED
)
UPDATE delivery_message m SET lease_until = NULL
FROM unsettled WHERE m.profile_id = unsettled.profile_id AND m.id = unsettled.id
"""


def settle_unknown(run_id: int) -> bool:
    """From now on no late answer plans a message of the run again; false: try again later.

    Whoever finishes a run settles first and looks for open messages afterwards, in one
    transaction: a late answer that came before is seen then, a later one can only close its row.
    """
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, {"run_id": run_id})
    unknown = Message.objects.filter(run_id=run_id, state=State.UNKNOWN)
    return not unknown.filter(lease_until__isnull=False).exists()


def pause_channel(channel: str, *, until: datetime, reason: str) -> None:
    """Claim nothing of the channel before `until`; a longer pause stays."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO delivery_channelpause (channel, until, reason) VALUES (%s, %s, %s)"
            " ON CONFLICT (channel) DO UPDATE SET until = excluded.until, reason = excluded.reason"
            " WHERE delivery_channelpause.until < excluded.until",
            [channel, until, reason[:100]],
        )


def count_states(run_id: int) -> dict[str, int]:
    """How many messages of the run are in each state; the states it has none of are 0."""
    counts = dict.fromkeys(State.values, 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM delivery_message WHERE run_id = %s GROUP BY state",
            [run_id],
        )
        counts.update(cursor.fetchall())
    return counts


COUNTED = 100_000  # due messages counted for the health page; more are "at least"
DEPTH: Final = """
SELECT count(*) FROM (
  SELECT 1 FROM delivery_message
  WHERE channel = %(channel)s AND state = 'planned' AND {run} AND not_before <= %(now)s
  LIMIT %(limit)s) due
"""


def health(now: datetime) -> dict[str, float | int]:
    """How long the oldest due message waits, and how many are due (counted up to 100,000)."""
    oldest, depth = now, 0
    for channel in settings.CHANNELS:
        for run_id, due in list_due_runs(channel, now=now):
            oldest = min(oldest, due)
            if depth < COUNTED:
                depth += count_due(run_id, channel=channel, limit=COUNTED - depth, now=now)
    return {"oldest_seconds": (now - oldest).total_seconds(), "depth": depth}


def count_due(run_id: int | None, *, channel: str, limit: int, now: datetime) -> int:
    """How many messages of the run are due on the channel; at most `limit` are counted."""
    statement = DEPTH.format(run=OF_NO_RUN if run_id is None else OF_ONE_RUN)
    with connection.cursor() as cursor:
        cursor.execute(
            statement, {"channel": channel, "run_id": run_id, "now": now, "limit": limit}
        )
        return int(cursor.fetchone()[0])
