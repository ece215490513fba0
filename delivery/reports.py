"""Figures of runs and campaigns, and the messages of one person."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connection

from delivery import policy
from delivery.models import Message

# A message opened twice or clicked on two products counts once; machines are counted apart.
DEEDS: Final = """
SELECT kind, machine, count(DISTINCT message_id) FROM delivery_interaction
WHERE {where} GROUP BY kind, machine
"""
RAW_DEEDS: Final = """
SELECT kind, false, count(DISTINCT message_id) FROM delivery_interaction
WHERE {where} GROUP BY kind
"""
# What providers said of each message: who bounced was not reached, and a delay is no failure.
RECEIPTS: Final = """
SELECT count(*) FILTER (WHERE delivered AND NOT bounced), count(*) FILTER (WHERE bounced),
  count(*) FILTER (WHERE failed AND NOT delivered AND NOT bounced),
  count(*) FILTER (WHERE complained), count(*) FILTER (WHERE opted_out),
  count(*) FILTER (WHERE gone)
FROM (
  SELECT bool_or(kind = 'delivered') AS delivered, bool_or(kind = 'bounced') AS bounced,
    bool_or(kind = 'failed') AS failed, bool_or(kind = 'complained') AS complained,
    bool_or(kind = 'opted_out') AS opted_out, bool_or(kind = 'gone') AS gone
  FROM delivery_receipt WHERE {where} GROUP BY message_id) AS messages
"""
RECEIVED: Final = ("delivered", "bounced", "failed", "complained", "opted_out", "gone")
STATES: Final = """
SELECT state, reason, count(*) FROM delivery_message WHERE {where} GROUP BY state, reason
"""
OF_RUN: Final = "run_id = %s"
OF_CAMPAIGN: Final = "campaign_id = %s"
TOP: Final = """
SELECT item_id,
  count(DISTINCT message_id) FILTER (WHERE kind = 'impression') AS shown,
  count(DISTINCT message_id) FILTER (WHERE kind = 'click') AS clicked
FROM delivery_interaction
WHERE run_id = %s AND NOT (machine AND %s) AND item_id <> '' AND kind IN ('impression', 'click')
GROUP BY item_id ORDER BY clicked DESC, shown DESC, item_id LIMIT %s
"""
SHOWN: Final = """
SELECT kind, count(*) FROM (
    SELECT kind, item_id, machine FROM delivery_interaction LIMIT %s
) AS looked_at WHERE item_id <> '' AND NOT machine GROUP BY kind
"""
MOST_LOOKED_AT: Final = 1_000_000  # rows: whoever asks needs to know whether there are enough
# Few messages have one; asked first, the others are not taken apart.
SHORT: Final = """
SELECT one ->> 'slot', one ->> 'short', (one ->> 'needed')::int, count(*)
FROM delivery_message m, jsonb_array_elements(m.items) AS one
WHERE m.run_id = %s AND m.items @? '$[*].short' AND one ? 'short'
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1
"""
# The words for a mailbox that is not there, as channels give them.
BOUNCES: Final = ("smtp 550 5.1.1", "smtp 553 5.1.3", "smtp 550 5.1.6", "smtp 551 5.1.6")
LISTED = 500  # messages of a person, the newest


def run_figures(run_id: int, *, machines: bool = False) -> dict[str, Any]:
    """planned, by state, by reason; messages seen, opened, clicked, left; machines apart.

    planned is the sum of `states`, at every moment. `machines`: what they did counts, too.
    """
    return _figures(OF_RUN, run_id, machines=machines)


def campaign_figures(campaign_id: int) -> dict[str, Any]:
    """The same over all runs of a campaign, in-app messages and test sends included."""
    return _figures(OF_CAMPAIGN, campaign_id)


def top_products(run_id: int, limit: int = 10, *, machines: bool = False) -> list[dict[str, Any]]:
    """The products clicked most, then seen most: in how many messages of the run each was."""
    with connection.cursor() as cursor:
        cursor.execute(TOP, [run_id, not machines, limit])
        return [
            {"item": item, "shown": shown, "clicked": clicked}
            for item, shown, clicked in cursor.fetchall()
        ]


class Bad(NamedTuple):
    """What went wrong with the messages of a run."""

    errors: int  # failed, or the provider did not say whether it took them
    bounced: int  # nobody lives there, as the provider said at once or later
    complained: int


BAD: Final = """
SELECT count(*) FILTER (WHERE reason <> %(died)s),
  count(*) FILTER (WHERE state = 'failed' AND reason = ANY(%(gone)s)),
  (SELECT count(DISTINCT message_id) FROM delivery_receipt
   WHERE run_id = %(run)s AND kind = 'bounced' AND ts >= %(since)s),
  (SELECT count(DISTINCT message_id) FROM delivery_receipt
   WHERE run_id = %(run)s AND kind = 'complained' AND ts >= %(since)s)
FROM delivery_message
WHERE run_id = %(run)s AND state IN ('failed', 'unknown') AND finished_at >= %(since)s
"""
ANSWERED: Final = """
SELECT count(*) FROM (
  SELECT 1 FROM delivery_message
  WHERE run_id = %(run)s AND state = ANY(%(states)s) AND finished_at >= %(since)s
  LIMIT %(most)s) AS answered
"""


def count_bad(run_id: int, *, since: datetime) -> Bad:
    with connection.cursor() as cursor:
        cursor.execute(
            BAD,
            {
                "run": run_id,
                "since": since,
                "gone": list(BOUNCES),
                "died": policy.WORKER_DIED,
            },
        )
        errors, refused, bounced, complained = cursor.fetchone()
    return Bad(errors, refused + bounced, complained)


def count_answered(run_id: int, *, states: Sequence[str], since: datetime, most: int) -> int:
    """How many messages of the run are in the states since then; looked at `most` at most."""
    with connection.cursor() as cursor:
        cursor.execute(
            ANSWERED,
            {"run": run_id, "states": list(states), "since": since, "most": most},
        )
        return int(cursor.fetchone()[0])


def count_shown() -> tuple[int, int]:
    """Products seen in messages, and clicks on them; among the first million interactions."""
    with connection.cursor() as cursor:
        cursor.execute(SHOWN, [MOST_LOOKED_AT])
        found = dict(cursor.fetchall())
    return found.get("impression", 0), found.get("click", 0)


def short_slots(run_id: int) -> list[dict[str, Any]]:
    """The slots that found too few: in how many messages, and what they did then."""
    with connection.cursor() as cursor:
        cursor.execute(SHORT, [run_id])
        return [
            {"slot": slot, "short": short, "needed": needed, "messages": count}
            for slot, short, needed, count in cursor.fetchall()
        ]


def _figures(where: str, number: int, *, machines: bool = False) -> dict[str, Any]:
    states = dict.fromkeys(Message.State.values, 0)
    reasons: dict[str, int] = {}
    deeds: dict[tuple[str, bool], int] = {}
    with connection.cursor() as cursor:
        cursor.execute(STATES.format(where=where), [number])
        for state, reason, count in cursor.fetchall():
            states[state] += count
            if reason and state in Message.FINAL:  # else it is a note on the way, and no outcome
                reasons[reason] = reasons.get(reason, 0) + count
        cursor.execute(DEEDS.format(where=where), [number])
        for kind, machine, count in cursor.fetchall():
            deeds[kind, machine] = count
        if machines:
            cursor.execute(RAW_DEEDS.format(where=where), [number])
            for kind, machine, count in cursor.fetchall():
                deeds[kind, machine] = count
        cursor.execute(RECEIPTS.format(where=where), [number])
        receipts = dict(zip(RECEIVED, cursor.fetchone(), strict=True))
    return {
        "planned": sum(states.values()),
        "open": sum(states[state] for state in Message.OPEN),
        "states": states,
        "reasons": reasons,
        "impressions": deeds.get(("impression", False), 0),
        "opens": deeds.get(("open", False), 0),
        "clicks": deeds.get(("click", False), 0),
        "dismissals": deeds.get(("dismiss", False), 0),
        "unsubscribes": deeds.get(("unsubscribe", False), 0),
        "receipts": receipts,
        "machine": {
            "opens": deeds.get(("open", True), 0),
            "clicks": deeds.get(("click", True), 0),
        },
    }


MESSAGES: Final = """
SELECT m.id, m.kind, m.campaign_id, m.run_id, m.variant_id, m.channel, m.topic, m.state, m.reason,
  m.created_at, m.finished_at, m.items::text, coalesce((
    SELECT jsonb_agg(jsonb_build_object('kind', i.kind, 'item', i.item_id, 'position', i.position,
                                        'machine', i.machine, 'ts', i.ts) ORDER BY i.ts, i.id)
    FROM delivery_interaction i
    WHERE i.profile_id = m.profile_id AND i.message_id = m.id), '[]')::text, coalesce((
    SELECT jsonb_agg(jsonb_build_object('kind', r.kind, 'detail', r.detail, 'ts', r.ts)
                     ORDER BY r.ts, r.id)
    FROM delivery_receipt r
    WHERE r.profile_id = m.profile_id AND r.message_id = m.id), '[]')::text
FROM delivery_message m
WHERE m.profile_id IN (
  SELECT id FROM profiles_profile WHERE id = %(id)s OR merged_into = %(id)s)
ORDER BY m.created_at DESC, m.id DESC LIMIT %(limit)s
"""


def messages_of(profile_id: int) -> list[dict[str, Any]]:
    """The newest messages of a person, those sent to merged profiles included, ready for JSON."""
    with connection.cursor() as cursor:
        cursor.execute(MESSAGES, {"id": profile_id, "limit": LISTED})
        return [_message(row) for row in cursor.fetchall()]


def _message(row: Sequence[Any]) -> dict[str, Any]:
    (message_id, kind, campaign_id, run_id, variant_id, channel, topic, state, reason,
     created_at, finished_at, items, deeds, receipts) = row  # fmt: skip
    return {
        "id": str(message_id),
        "kind": kind,
        "campaign_id": campaign_id,
        "run_id": run_id,
        "variant_id": variant_id,
        "channel": channel,
        "topic": topic,
        "state": state,
        "reason": reason,
        "created_at": created_at.isoformat(),
        "finished_at": finished_at.isoformat() if finished_at else None,
        "items": json.loads(items),
        "interactions": json.loads(deeds),
        "receipts": json.loads(receipts),
    }
