"""What is known of the person who opened the app: asked of Redis and of PostgreSQL at once.

Nothing is kept between launches: a consent that was withdrawn, or a message that was seen, a
second ago must count (I-5).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from django.db import InterfaceError, OperationalError

from campaigns import in_app
from campaigns.in_app import Live
from engage.lib import redis
from engage.lib.prepared import Query
from engage.profiles import activity
from engage.profiles.activity import Touch

MAX_EVENTS: Final = 500
MAX_IMPRESSIONS: Final = 500

# The user's profile, else that of the anonymous id, unless another user claimed the device.
WHO: Final = """
WITH known AS (
  SELECT profile_id, kind, value, claimed_by FROM profiles_identity
  WHERE (kind = 'user' AND value = $1) OR (kind = 'anonymous' AND value = $2)
), me AS (
  SELECT profile_id AS id FROM known
  WHERE kind = 'user' OR $1 = '' OR claimed_by IN ('', $1)
  ORDER BY kind DESC LIMIT 1
)
"""
# In one column: the driver takes longer to turn seven into Python than the server to join them.
FIND: Final = f"""{WHO}
SELECT json_build_array(
  p.id,
  p.attributes,
  encode(a.touches, 'hex'),
  NOT EXISTS (SELECT 1 FROM known
    WHERE kind = 'anonymous' AND claimed_by <> '' AND profile_id <> p.id),
  ARRAY(SELECT c.topic FROM profiles_consent c
    WHERE c.profile_id = p.id AND c.channel = 'in_app' AND c.status = 'opted_out'),
  ARRAY(SELECT json_build_array(i.campaign_id, floor(extract(epoch FROM i.ts) * 1000)::bigint)
    FROM (SELECT campaign_id, ts FROM delivery_interaction
      WHERE profile_id = p.id AND kind = 'impression' AND item_id = ''
        AND campaign_id = ANY($3) ORDER BY ts DESC LIMIT $4) AS i),
  {{events}},
  (SELECT json_build_array(
      w.most_a_week, floor(extract(epoch FROM w.paused_until) * 1000)::bigint)
    FROM delivery_preference w WHERE w.profile_id IN (
      SELECT p.id UNION ALL SELECT id FROM profiles_profile WHERE merged_into = p.id)
    ORDER BY w.stated_at DESC, w.profile_id LIMIT 1)
)::text
FROM me JOIN profiles_profile p ON p.id = me.id
LEFT JOIN profiles_activity a ON a.profile_id = p.id
"""  # noqa: S608
OWNER: Final = Query(
    "launch_owner",
    f"{WHO} SELECT p.id FROM me JOIN profiles_profile p ON p.id = me.id",  # noqa: S608
    types=("text", "text"),
)
EVENTS: Final = """
  ARRAY(SELECT json_build_array(
      e.name, floor(extract(epoch FROM e.ts) * 1000)::bigint, e.message_id, e.properties)
    FROM (SELECT name, ts, message_id, properties FROM profiles_event
      WHERE profile_id = p.id AND name = ANY($5) AND ts >= $6
      ORDER BY ts DESC LIMIT $7) AS e)
"""
TYPES: Final = ("text", "text", "bigint[]", "bigint")
# Most rules ask for no events, and even a plan that finds none has to look at every partition.
STANDING: Final = Query("launch_standing", FIND.format(events="ARRAY[]::json[]"), types=TYPES)
HISTORY: Final = Query(
    "launch_history",
    FIND.format(events=EVENTS),
    types=(*TYPES, "text[]", "timestamptz", "bigint"),
)


class StoredEvent(msgspec.Struct, frozen=True, array_like=True):
    name: str
    ts_ms: int
    message_id: str
    properties: dict[str, Any]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """What the query gives."""

    profile_id: int
    attributes: dict[str, Any]
    touches: str | None
    owns_device: bool
    opted_out: list[str]
    impressions: list[tuple[int, int]]
    events: list[StoredEvent]
    wishes: tuple[int | None, int | None] | None


class Known(msgspec.Struct, frozen=True):
    """What the tables know. `profile_id` None: never seen."""

    profile_id: int | None = None
    attributes: dict[str, Any] = {}
    touches: list[Touch] = []
    owns_device: bool = True  # the anonymous id is theirs
    opted_out: list[str] = []
    impressions: list[tuple[int, int]] = []  # campaign, ms
    events: list[StoredEvent] = []
    most_a_week: int | None = None  # messages, by their own wish
    paused_until_ms: int | None = None


class Found(msgspec.Struct, frozen=True):
    known: Known
    touches: Sequence[Touch]  # stored and hinted, newest first
    hinted: Sequence[Touch]  # accepted and perhaps not stored yet


decode_row = msgspec.json.Decoder(Row).decode

AWAY: Final = (OperationalError, InterfaceError)
LISTS: Final = 2  # of hints, of each id
NOBODY: Final = Known()


class Look:
    """Two questions on their way: `ask` queues one, `load` asks the other meanwhile."""

    def __init__(self, *, user_id: str, anonymous_id: str, now: datetime) -> None:
        self.user_id = user_id
        self.anonymous_id = anonymous_id
        self.now = now
        self.live = Live()
        self.known = NOBODY
        self.failure: Exception | None = None

    def ask(self, commands: redis.Commands) -> None:
        """Queue what Redis knows, into whatever travels there anyway."""
        keys = activity.hint_keys(user_id=self.user_id) if self.user_id else []
        if self.anonymous_id:
            keys += activity.hint_keys(anonymous_id=self.anonymous_id)
        for key in keys:
            commands.lrange(key, 0, -1)

    def load(self) -> None:
        """Ask the tables. Never raises: the events that travel meanwhile must not suffer."""
        try:
            self.live = in_app.cache.get()
            if self.live.campaigns:
                self.known = load(
                    user_id=self.user_id,
                    anonymous_id=self.anonymous_id,
                    live=self.live,
                    now=self.now,
                )
        except AWAY as exc:
            self.failure = exc

    def find(self, answers: Sequence[Any]) -> Found:
        """Both together, from Redis's answers to `ask`.

        Raises
        ------
        redis.RedisError, django.db.Error
            What stood in the way of one of them.
        """
        failures = [one for one in (*answers, self.failure) if isinstance(one, Exception)]
        if failures:
            raise failures[0]
        if self.user_id and self.anonymous_id and not self.known.owns_device:
            answers = answers[:LISTS]  # two people share the device
        hinted = [activity.decode_touch(hint) for found in answers for hint in found]
        touches = activity.combine(self.known.touches, hinted) if hinted else self.known.touches
        return Found(self.known, touches, hinted)


def load(*, user_id: str, anonymous_id: str, live: Live, now: datetime) -> Known:
    """What the tables know, in one query."""
    given = (user_id, anonymous_id, live.campaign_ids, MAX_IMPRESSIONS)
    if live.event_names:
        since = live.since(now) or "-infinity"
        found = HISTORY.fetch_one(*given, live.event_names, since, MAX_EVENTS)
    else:
        found = STANDING.fetch_one(*given)
    if found is None:
        return NOBODY
    row = decode_row(found[0])
    most_a_week, paused_until_ms = row.wishes or (None, None)
    return Known(
        profile_id=row.profile_id,
        attributes=row.attributes,
        touches=activity.unpack_one(bytes.fromhex(row.touches)) if row.touches else [],
        owns_device=row.owns_device,
        opted_out=row.opted_out,
        impressions=row.impressions,
        events=row.events,
        most_a_week=most_a_week,
        paused_until_ms=paused_until_ms,
    )


def impressions_of(known: Known) -> Mapping[int, list[int]]:
    seen: dict[int, list[int]] = {}
    for campaign, ms in known.impressions:
        seen.setdefault(campaign, []).append(ms)
    return seen


def find_owner(*, user_id: str, anonymous_id: str) -> int | None:
    """Whom an app with these ids is answered about."""
    found = OWNER.fetch_one(user_id, anonymous_id)
    return None if found is None else int(found[0])
