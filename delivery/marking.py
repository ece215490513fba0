"""The mark, the only way to a provider, and the record of what the provider answered.

Each is one statement, and so a transaction by itself: at ten mails a group, every further round
trip would cost as much as a message.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection, transaction

from delivery import attempts as calls
from delivery import control_rows, policy, suppression
from delivery.drafts import Draft
from delivery.models import Message
from delivery.policy import Decision
from delivery.results import Result
from engage.lib.ids import uuid7
from engage.lib.prepared import Statement

State = Message.State

# One statement judges and moves. A withdrawal, suppression, pause or cancellation that was
# committed before it began is seen; so is a lost lease, because the row's lock is taken first.
# The rows are locked one by one, in a query of their own: joined instead, they may be looked for
# among all that is leased, which the planner takes for few. Where the controls might have a say
# and were not asked, nothing is marked.
MARK: Final = Statement(
    "mark",
    f"""
WITH judged AS (
  SELECT m.profile_id, m.id, asked.digest, asked.items, asked.worth, asked.until, asked.said,
    {policy.VERDICT} AS verdict
  FROM unnest(%(profiles)s::bigint[], %(ids)s::uuid[], %(addresses)s::text[],
              %(digests)s::uuid[], %(items)s::text[], %(worths)s::float8[],
              %(said)s::text[], %(until)s::timestamptz[])
         AS asked (profile_id, id, address, digest, items, worth, said, until)
  CROSS JOIN LATERAL (
    SELECT * FROM delivery_message
    WHERE profile_id = asked.profile_id AND id = asked.id
      AND state = 'leased' AND lease_token = %(token)s
      AND lease_until > clock_timestamp() + make_interval(secs => %(call_seconds)s)
    FOR UPDATE
  ) AS m
  {policy.VERDICT_TABLES}
  WHERE %(ruled)s OR NOT ({control_rows.MAY_SPEAK})
), decided AS (
  -- What the controls said counts where nothing else forbids.
  SELECT *, CASE verdict WHEN 'allow' THEN coalesce(said, 'allow') ELSE verdict END AS final
  FROM judged
)
UPDATE delivery_message m SET
  state = CASE final WHEN 'allow' THEN 'attempting' WHEN 'paused' THEN 'planned'
    WHEN 'later' THEN 'planned' WHEN 'expired' THEN 'expired' WHEN 'cancelled' THEN 'cancelled'
    ELSE 'suppressed' END,
  reason = CASE WHEN final IN ('allow', 'paused', 'later') THEN '' ELSE final END,
  attempt = m.attempt + (final = 'allow')::int,
  marked_at = CASE final WHEN 'allow' THEN %(now)s ELSE m.marked_at END,
  address_digest = CASE final WHEN 'allow' THEN decided.digest ELSE m.address_digest END,
  items = CASE WHEN final = 'allow' OR final = said THEN decided.items::jsonb ELSE m.items END,
  worth = decided.worth,
  not_before = CASE final WHEN 'later' THEN decided.until ELSE m.not_before END,
  lease_token = CASE WHEN final IN ('paused', 'later') THEN NULL ELSE m.lease_token END,
  finished_at = CASE WHEN final IN ('allow', 'paused', 'later') THEN NULL ELSE %(now)s END
FROM decided WHERE m.profile_id = decided.profile_id AND m.id = decided.id
RETURNING m.id, final, m.attempt
""",  # noqa: S608
    types={
        "profiles": "bigint[]",
        "ids": "uuid[]",
        "addresses": "text[]",
        "digests": "uuid[]",
        "items": "text[]",
        "worths": "float8[]",
        "said": "text[]",
        "until": "timestamptz[]",
        "token": "uuid",
        "call_seconds": "float8",
        "need_opt_in": "text[]",
        "ruled": "bool",
        "now": "timestamptz",
    },
)


@dataclass(frozen=True, slots=True)
class Marked:
    """What the mark said of each message; those it did not find are another worker's by now."""

    decisions: dict[UUID, Decision]

    def allowed(self, message: Message) -> bool:
        return isinstance(self.decisions.get(message.id), policy.Allow)

    def attempt(self, message: Message) -> int:
        decision = self.decisions.get(message.id)
        return decision.attempt if isinstance(decision, policy.Allow) else 0


def state_of(drop: policy.Drop) -> State:
    """The final state of a message that the mark dropped."""
    finals = {policy.EXPIRED: State.EXPIRED, policy.CANCELLED: State.CANCELLED}
    return finals.get(drop.reason, State.SUPPRESSED)


def mark(
    messages: Sequence[Message],
    drafts: Sequence[Draft],
    *,
    token: UUID,
    call_seconds: float,
    now: datetime,
) -> Marked:
    """Judge the messages a moment before the call; only the allowed ones may be handed over.

    `call_seconds`: what must be left of the lease, more than the call may take.
    """
    asked: dict[str, Any] = {
        "profiles": [m.profile_id for m in messages],
        "ids": [m.id for m in messages],
        "addresses": [d.address for d in drafts],
        "digests": [
            suppression.digest(d.address, channel=m.channel)
            for m, d in zip(messages, drafts, strict=True)
        ],
        "need_opt_in": list(policy.NEED_OPT_IN),
        "now": now,
    }
    parameters = asked | {
        "worths": [d.worth for d in drafts],
        "token": token,
        "call_seconds": call_seconds,
    }
    said: dict[UUID, Decision] = {}
    rows = MARK.fetch_all(parameters | _words(messages, drafts, said, now=now) | {"ruled": False})
    if not rows:  # the controls may have a say, or all leases are lost
        with transaction.atomic():
            said = control_rows.judge(messages, drafts, parameters=asked, now=now)
            rows = MARK.fetch_all(
                parameters | _words(messages, drafts, said, now=now) | {"ruled": True}
            )
            _redirect(messages, said, {row[0] for row in rows if row[1] == policy.LATER})
    return Marked(
        {row[0]: policy.decide(row[1], attempt=row[2], said=said.get(row[0])) for row in rows}
    )


# What was composed was of the other channel, and so were its address and worth. It goes by a
# channel that is silent, so quiet hours of the shop are no matter any more.
REDIRECT: Final = """
UPDATE delivery_message m SET channel = asked.channel, quiet = 'ignore', address_id = '',
  worth = NULL, items = '[]'
FROM unnest(%(profiles)s::bigint[], %(ids)s::uuid[], %(channels)s::text[])
       AS asked (profile_id, id, channel)
WHERE m.profile_id = asked.profile_id AND m.id = asked.id
"""


def _redirect(
    messages: Sequence[Message], said: Mapping[UUID, Decision], later: Collection[UUID]
) -> None:
    """In the transaction of the mark, which planned them again and still holds their rows."""
    redirected = [
        (message, decision.channel)
        for message in messages
        if isinstance(decision := said.get(message.id), policy.Elsewhere) and message.id in later
    ]
    if not redirected:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            REDIRECT,
            {
                "profiles": [message.profile_id for message, _ in redirected],
                "ids": [message.id for message, _ in redirected],
                "channels": [channel for _, channel in redirected],
            },
        )


def _words(
    messages: Sequence[Message],
    drafts: Sequence[Draft],
    said: Mapping[UUID, Decision],
    *,
    now: datetime,
) -> dict[str, Any]:
    """What the controls said, and what the messages show."""
    decisions = [said.get(message.id) for message in messages]
    words = [_word(decision, now=now) for decision in decisions]
    return {
        "items": [_items(d, one) for d, one in zip(drafts, decisions, strict=True)],
        "said": [word for word, _ in words],
        "until": [until for _, until in words],
    }


def _word(decision: Decision | None, *, now: datetime) -> tuple[str | None, datetime | None]:
    match decision:
        case policy.Drop(reason):
            return reason, None
        case policy.Defer(until):
            return policy.LATER, until
        case policy.Elsewhere():
            return policy.LATER, now
    return None, None


def _items(draft: Draft, decision: Decision | None) -> str:
    """What the message shows; of one that the controls drop, why."""
    shown = decision.items if isinstance(decision, policy.Drop) else draft.items
    return encode(shown)


def encode(items: Sequence[Mapping[str, object]]) -> str:
    return msgspec.json.encode(items).decode()


# A late answer of the same token resolves an unknown row. "Later" says that it certainly was not
# sent: it is planned again, unless its run counts on it by now (`outbox.settle_unknown`). Where a
# receipt told of a message before the call ended (it is heard of), the provider took it, whatever
# else it says than a refusal.
CLOSE_ROWS: Final = """
UPDATE delivery_message m SET
  state = CASE WHEN m.state = 'unknown' AND (
                 done.state = 'expired' OR done.state = 'planned' AND m.lease_until IS NULL)
                 THEN 'failed'
               WHEN m.reason = 'heard' AND done.outcome <> 'refused' THEN 'accepted'
               ELSE done.state END,
  reason = CASE WHEN m.state = 'unknown' AND (
                  done.state = 'expired' OR done.state = 'planned' AND m.lease_until IS NULL)
                  THEN 'unavailable'
                WHEN done.state IN ('planned', 'accepted') THEN ''
                WHEN m.reason = 'heard' AND done.outcome <> 'refused' THEN ''
                ELSE done.reason END,
  provider_id = done.provider_id,
  items = coalesce(done.items::jsonb, m.items),
  not_before = coalesce(done.not_before, m.not_before),
  lease_token = CASE WHEN done.state = 'planned' AND m.lease_until IS NOT NULL
                       AND m.reason <> 'heard' THEN NULL ELSE m.lease_token END,
  finished_at = CASE WHEN done.state = 'planned' AND m.lease_until IS NOT NULL
                       AND m.reason <> 'heard' THEN NULL ELSE %(now)s END
FROM unnest(%(profiles)s::bigint[], %(ids)s::uuid[], %(states)s::text[], %(outcomes)s::text[],
            %(reasons)s::text[], %(provider_ids)s::text[], %(not_before)s::timestamptz[],
            %(items)s::text[])
       AS done (profile_id, id, state, outcome, reason, provider_id, not_before, items)
WHERE m.profile_id = done.profile_id AND m.id = done.id
  AND m.lease_token = %(token)s AND m.state = ANY(%(from_states)s)
RETURNING m.id
"""
CLOSE_TYPES: Final = {
    "profiles": "bigint[]",
    "ids": "uuid[]",
    "states": "text[]",
    "outcomes": "text[]",
    "reasons": "text[]",
    "provider_ids": "text[]",
    "not_before": "timestamptz[]",
    "items": "text[]",
    "token": "uuid",
    "from_states": "text[]",
    "now": "timestamptz",
}
CLOSE: Final = Statement("close", CLOSE_ROWS, types=CLOSE_TYPES)
RECORD: Final = Statement(
    "record",
    f"""
WITH closed AS ({CLOSE_ROWS}), noted AS (
  INSERT INTO delivery_sendattempt ({calls.COLUMNS})
  SELECT profile_id, attempt_id, id, attempt, %(token)s,
    CASE WHEN id IN (SELECT id FROM closed) THEN outcome ELSE 'fenced' END,
    detail, provider_id, %(started_at)s, %(now)s
  FROM unnest(%(profiles)s::bigint[], %(attempt_ids)s::uuid[], %(ids)s::uuid[],
              %(attempts)s::smallint[], %(outcomes)s::text[], %(details)s::text[],
              %(provider_ids)s::text[])
         AS made (profile_id, attempt_id, id, attempt, outcome, detail, provider_id)
)
SELECT count(*) FROM closed
""",  # noqa: S608
    types=CLOSE_TYPES
    | {
        "attempt_ids": "uuid[]",
        "attempts": "smallint[]",
        "details": "text[]",
        "started_at": "timestamptz",
    },
)


def record(
    messages: Sequence[Message],
    results: Sequence[Result],
    *,
    token: UUID,
    attempts: Sequence[int],
    started_at: datetime,
    now: datetime,
) -> int:
    """Write the outcomes and one attempt row each; how many came too late for their lease."""
    closing = _closing(messages, results, token=token, states=["attempting", "unknown"], now=now)
    made = {
        "attempt_ids": [uuid7() for _ in messages],
        "attempts": list(attempts),
        "details": [r.reason[:255] for r in results],
        "started_at": started_at,
    }
    [(closed,)] = RECORD.fetch_all(closing | made)
    return len(messages) - int(closed)


def drop(
    messages: Sequence[Message],
    drops: Sequence[policy.Drop],
    *,
    token: UUID,
    now: datetime,
    state: State = State.SUPPRESSED,
) -> int:
    """Close claimed messages that the composer gave a reason not to send; how many."""
    results = [Result(state, "", one.reason[:100], items=one.items) for one in drops]
    closing = _closing(messages, results, token=token, states=["leased"], now=now)
    return len(CLOSE.fetch_all(closing))


def _closing(
    messages: Sequence[Message],
    results: Sequence[Result],
    *,
    token: UUID,
    states: Sequence[str],
    now: datetime,
) -> dict[str, Any]:
    return {
        "profiles": [m.profile_id for m in messages],
        "ids": [m.id for m in messages],
        "states": [r.state.value for r in results],
        "outcomes": [r.outcome for r in results],
        "reasons": [r.reason for r in results],
        "provider_ids": [r.provider_id for r in results],
        "not_before": [r.not_before for r in results],
        "items": [encode(r.items) if r.items else None for r in results],
        "token": token,
        "from_states": list(states),
        "now": now,
    }
