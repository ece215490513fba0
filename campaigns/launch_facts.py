"""What is known of the person who opened the app: one look into Redis, one into SQL.

Nothing is kept between launches: a consent that was withdrawn, or a message that was seen, a
second ago must count (I-5).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from campaigns.in_app import Live
from engage.lib import redis
from engage.profiles import activity
from engage.profiles.activity import Touch

MAX_EVENTS = 500
MAX_IMPRESSIONS = 500

# The user's profile, else that of the anonymous id, unless another user claimed the device.
QUERY = """
WITH known AS (
  SELECT profile_id, kind, value, claimed_by FROM profiles_identity
  WHERE (kind = 'user' AND value = %(user)s) OR (kind = 'anonymous' AND value = %(anonymous)s)
), me AS (
  SELECT profile_id AS id FROM known
  WHERE kind = 'user' OR %(user)s = '' OR claimed_by IN ('', %(user)s)
  ORDER BY kind DESC LIMIT 1
)
SELECT p.id, p.attributes, a.touches,
  NOT EXISTS (SELECT 1 FROM known
    WHERE kind = 'anonymous' AND claimed_by <> '' AND profile_id <> p.id),
  ARRAY(SELECT c.topic FROM profiles_consent c
    WHERE c.profile_id = p.id AND c.channel = 'in_app' AND c.status = 'opted_out'),
  (SELECT coalesce(jsonb_agg(jsonb_build_array(
      i.campaign_id, floor(extract(epoch FROM i.ts) * 1000)::bigint)), '[]')
    FROM (SELECT campaign_id, ts FROM delivery_interaction
      WHERE profile_id = p.id AND kind = 'impression' AND item_id = ''
        AND campaign_id = ANY(%(campaigns)s) ORDER BY ts DESC LIMIT %(impressions)s) AS i),
  CASE WHEN cardinality(%(names)s::text[]) = 0 THEN '[]'::jsonb ELSE
    (SELECT coalesce(jsonb_agg(jsonb_build_array(
        e.name, floor(extract(epoch FROM e.ts) * 1000)::bigint, e.message_id, e.properties)), '[]')
      FROM (SELECT name, ts, message_id, properties FROM profiles_event
        WHERE profile_id = p.id AND name = ANY(%(names)s)
          AND ts >= coalesce(%(since)s::timestamptz, '-infinity')
        ORDER BY ts DESC LIMIT %(events)s) AS e)
  END
FROM me JOIN profiles_profile p ON p.id = me.id
LEFT JOIN profiles_activity a ON a.profile_id = p.id
"""


class StoredEvent(msgspec.Struct, frozen=True):
    name: str
    ts_ms: int
    message_id: str
    properties: dict[str, Any]


class Known(msgspec.Struct, frozen=True):
    """What the tables know. `profile_id` None: never seen."""

    profile_id: int | None = None
    attributes: dict[str, Any] = {}
    touches: list[Touch] = []
    owns_device: bool = True  # the anonymous id is theirs
    opted_out: list[str] = []
    impressions: list[tuple[int, int]] = []  # campaign, ms
    events: list[StoredEvent] = []


class Found(msgspec.Struct, frozen=True):
    known: Known
    touches: Sequence[Touch]  # stored and hinted, newest first
    hinted: Sequence[Touch]  # accepted and perhaps not stored yet


_decode_touch = msgspec.json.Decoder(Touch).decode


QUESTIONS = 2  # of `ask`, so many answers are its


def ask(commands: redis.Commands, *, user_id: str, anonymous_id: str) -> None:
    """Queue what must be looked up in Redis, into whatever travels there anyway."""
    commands.lrange(activity.hint_key(user_id=user_id, anonymous_id=""), 0, -1)
    commands.lrange(activity.hint_key(user_id="", anonymous_id=anonymous_id), 0, -1)


def find(
    answers: Sequence[Any], *, user_id: str, anonymous_id: str, live: Live, now: datetime
) -> Found:
    """From the answers to `ask`, and one query."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    known = load(user_id=user_id, anonymous_id=anonymous_id, live=live, now=now)
    hints = list(answers)
    if user_id and anonymous_id and not known.owns_device:
        hints = hints[:1]  # two people share the device
    hinted = [_decode_touch(hint) for found in hints for hint in found]
    return Found(known, activity.combine(known.touches, hinted), hinted)


def load(*, user_id: str, anonymous_id: str, live: Live, now: datetime) -> Known:
    with connection.cursor() as cursor:
        cursor.execute(
            QUERY,
            {
                "user": user_id,
                "anonymous": anonymous_id,
                "campaigns": [one.campaign.pk for one in live.campaigns],
                "impressions": MAX_IMPRESSIONS,
                "names": list(live.event_names),
                "since": live.since(now),
                "events": MAX_EVENTS,
            },
        )
        row = cursor.fetchone()
    if row is None:
        return Known()
    profile_id, attributes, packed, owns_device, opted_out, impressions, events = row
    touches = activity.unpack({profile_id: bytes(packed)})[profile_id] if packed else []
    return Known(
        profile_id=profile_id,
        attributes=_json(attributes),
        touches=touches,
        owns_device=owns_device,
        opted_out=opted_out,
        impressions=[(campaign, ms) for campaign, ms in _json(impressions)],
        events=[StoredEvent(*event) for event in _json(events)],
    )


def _json(value: Any) -> Any:
    """Django's connection gives jsonb as text outside of models."""
    return msgspec.json.decode(value) if isinstance(value, str) else value


def impressions_of(known: Known) -> Mapping[int, list[int]]:
    seen: dict[int, list[int]] = {}
    for campaign, ms in known.impressions:
        seen.setdefault(campaign, []).append(ms)
    return seen
