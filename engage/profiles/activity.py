"""The recent touches of products: stored per profile, and hinted in Redis until they are stored.

A stored touch is a record of 19 bytes: time in ms, a digest of the message id, the place in its
event counted down, the numbers of item and event. Written big-endian, records sort as bytes in the
order of time, so the newest fifty of any set are the same whatever order they came in.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec
from django.conf import settings
from django.db import connection
from redis import Redis
from redis.client import Pipeline

from engage.lib import redis
from engage.lib.bulk import array
from engage.profiles import terms
from engage.profiles.dedupe import digest_of

RECORD: Final = Struct(">HI4sBii")  # the time in two parts
TIME_LENGTH: Final = 6
FIRST_PLACE: Final = 0xFF
HINT_SECONDS: Final = 3600  # far longer than any event waits in the queue
PURCHASE: Final = "Order Completed"
BOUGHT_HINTS: Final = 1_000  # products; two orders of the largest size, see `extract`

# Records that are all newer than the stored ones go in front; the rest is merged in Python.
PREPEND: Final = """
UPDATE profiles_activity a
SET touches = substring(v.touches || a.touches FOR %s)
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS v (profile_id, touches, oldest)
WHERE a.profile_id = v.profile_id AND substring(a.touches FOR 19) < v.oldest
RETURNING a.profile_id
"""
READ: Final = (
    "SELECT profile_id, touches FROM profiles_activity WHERE profile_id = ANY(%s::bigint[])"
)
REPLACE: Final = """
INSERT INTO profiles_activity (profile_id, touches)
SELECT * FROM unnest(%s::bigint[], %s::bytea[])
ON CONFLICT (profile_id) DO UPDATE SET touches = excluded.touches
"""


class Touch(NamedTuple):
    """One product in one event. Of a stored one `message_id` is the `message_mark`."""

    item: str
    event: str
    ts_ms: int
    message_id: str


decode_touch: Final = msgspec.json.Decoder(Touch).decode


def message_mark(message_id: str) -> str:
    """The 8 letters by which a stored touch knows its event."""
    return digest_of(message_id)[-8:]


def record(ts_ms: int, mark: bytes, place: int, item: int, event: int) -> bytes:
    return RECORD.pack(ts_ms >> 32, ts_ms & 0xFFFFFFFF, mark, FIRST_PLACE - place, item, event)


def newest(*runs: bytes) -> bytes:
    """The newest records of all runs, each once, newest first."""
    size = RECORD.size
    if len(runs) == 1 and len(runs[0]) == size:
        return runs[0]
    every = {run[at : at + size] for run in runs for at in range(0, len(run), size)}
    return b"".join(sorted(every, reverse=True)[: settings.RECENT_ITEMS])


def add(cursor: Any, records: Mapping[int, Sequence[bytes]]) -> None:
    """Add records to the activity of profiles, which the caller has locked."""
    runs = {profile: newest(*found) for profile, found in sorted(records.items())}
    if not runs:
        return
    length = settings.RECENT_ITEMS * RECORD.size
    oldest = [run[-RECORD.size :] for run in runs.values()]
    cursor.execute(PREPEND, [length, array(runs), array(runs.values()), array(oldest)])
    done = {row[0] for row in cursor.fetchall()}
    rest = {profile: run for profile, run in runs.items() if profile not in done}
    if rest:
        stored = read(cursor, rest)
        merged = {p: newest(run, stored.get(p, b"")) for p, run in rest.items()}
        cursor.execute(REPLACE, [array(merged), array(merged.values())])


def replace(cursor: Any, records: Mapping[int, Sequence[bytes]]) -> None:
    """Make the records the whole activity of profiles, which the caller has locked."""
    runs = {profile: newest(*found) for profile, found in records.items()}
    cursor.execute(REPLACE, [array(runs), array(runs.values())])


def before(run: bytes, *, ts_ms: int) -> bytes:
    """The records that are older than the time."""
    limit, size = ts_ms.to_bytes(TIME_LENGTH), RECORD.size
    return b"".join(
        run[at : at + size]
        for at in range(0, len(run), size)
        if run[at : at + TIME_LENGTH] < limit
    )


def read(cursor: Any, profile_ids: Iterable[int]) -> dict[int, bytes]:
    cursor.execute(READ, [array(profile_ids)])
    return {profile: bytes(touches) for profile, touches in cursor.fetchall()}


def get_touches(profile_ids: Sequence[int]) -> dict[int, list[Touch]]:
    """The stored touches of each profile, newest first; an empty list where there are none."""
    with connection.cursor() as cursor:
        stored = read(cursor, profile_ids)
    return {profile: [] for profile in profile_ids} | unpack(stored)


def unpack(stored: Mapping[int, bytes]) -> dict[int, list[Touch]]:
    found = {profile: list(RECORD.iter_unpack(run)) for profile, run in stored.items()}
    numbers = {number for rows in found.values() for row in rows for number in row[-2:]}
    word = terms.spell(numbers)
    return {profile: spelled(rows, word) for profile, rows in found.items()}


def spelled(
    rows: Iterable[tuple[int, int, bytes, int, int, int]], word: Mapping[int, str]
) -> list[Touch]:
    new = tuple.__new__  # a named tuple's own takes three times as long, and these are many
    return [
        new(Touch, (word[item], word[event], high << 32 | low, mark.hex()))
        for high, low, mark, _, item, event in rows
        if item in word and event in word
    ]


def unpack_one(run: bytes) -> list[Touch]:
    rows = list(RECORD.iter_unpack(run))
    *_, items, events = zip(*rows, strict=True)
    return spelled(rows, terms.spell({*items, *events}))


# --- hints: accepted, not yet stored ---------------------------------------------------------


def hint_key(*, user_id: str, anonymous_id: str) -> str:
    """An event with both ids belongs to the user, so its hint does too."""
    return redis.key("recent", "u", user_id) if user_id else redis.key("recent", "a", anonymous_id)


def bought_key(*, user_id: str, anonymous_id: str) -> str:
    """Where purchases are hinted: no number of other touches pushes them out."""
    return redis.key("bought", "u", user_id) if user_id else redis.key("bought", "a", anonymous_id)


def hint_keys(*, user_id: str = "", anonymous_id: str = "") -> list[str]:
    """All places with hints of one identity."""
    return [key(user_id=user_id, anonymous_id=anonymous_id) for key in (hint_key, bought_key)]


def note_pending(
    pipe: "Pipeline | Redis", *, user_id: str, anonymous_id: str, touches: Sequence[Touch]
) -> None:
    """Queue the hints into the caller's pipeline; oldest touch first."""
    if not user_id and not anonymous_id:
        return
    bought = [touch for touch in touches if touch.event == PURCHASE]
    others = [touch for touch in touches if touch.event != PURCHASE] if bought else touches
    for make_key, noted, most in (
        (hint_key, others, settings.RECENT_ITEMS),
        (bought_key, bought, BOUGHT_HINTS),
    ):
        if noted:
            key = make_key(user_id=user_id, anonymous_id=anonymous_id)
            pipe.lpush(key, *(msgspec.json.encode(touch) for touch in noted[-most:]))
            pipe.ltrim(key, 0, most - 1)
            pipe.expire(key, HINT_SECONDS)


def pending(*, user_id: str = "", anonymous_id: str = "") -> list[Touch]:
    """The hinted touches of the given identities, newest first."""
    keys = []
    if user_id:
        keys += hint_keys(user_id=user_id)
    if anonymous_id:
        keys += hint_keys(anonymous_id=anonymous_id)
    hints = chain.from_iterable(list_hints(keys))
    return sorted(hints, key=lambda touch: touch.ts_ms, reverse=True)


def list_hints(keys: Sequence[str]) -> list[list[Touch]]:
    """The hints below each key, in one round trip."""
    if not keys:
        return []
    commands = redis.Commands()
    for key in keys:
        commands.lrange(key, 0, -1)
    answers = commands.execute()
    for failure in answers:
        if isinstance(failure, Exception):
            raise failure
    return [[decode_touch(hint) for hint in found] for found in answers]


def forget_pending(identities: Iterable[tuple[str, str]]) -> None:
    """Drop the hints of (kind, value) identities."""
    keys = [key for kind, value in identities for key in hint_keys_of(kind, value)]
    if keys:
        redis.client().delete(*keys)


def hint_keys_of(kind: str, value: str) -> list[str]:
    return hint_keys(user_id=value) if kind == "user" else hint_keys(anonymous_id=value)


# --- both ------------------------------------------------------------------------------------


def combine(stored: Sequence[Touch], hinted: Sequence[Touch]) -> list[Touch]:
    """Newest first, none twice: a hint whose event was stored meanwhile is left out.

    The newest RECENT_ITEMS, and behind them the purchases among the rest: what was bought must not
    be shown, and until it is stored only its hint knows of it.
    """
    if not hinted:
        return list(stored)
    touches = {(touch.message_id, touch.item): touch for touch in stored}
    for touch in hinted:
        touches.setdefault((message_mark(touch.message_id), touch.item), touch)
    merged = sorted(touches.values(), key=lambda touch: touch.ts_ms, reverse=True)
    most = settings.RECENT_ITEMS
    return merged[:most] + [touch for touch in merged[most:] if touch.event == PURCHASE]


def recent(profile_id: int | None, *, user_id: str = "", anonymous_id: str = "") -> list[Touch]:
    """What this person touched last, this very request's events included; newest first.

    Without ids, the hints of all names of the profile count. Those of an anonymous id that belongs
    to somebody else are left out: two people share the device.
    """
    if profile_id is not None and not user_id and not anonymous_id:
        return recent_many([profile_id])[profile_id]
    if user_id and anonymous_id and is_foreign(anonymous_id, profile_id):
        anonymous_id = ""
    hinted = pending(user_id=user_id, anonymous_id=anonymous_id)
    stored = get_touches([profile_id])[profile_id] if profile_id is not None else []
    return combine(stored, hinted)


def is_foreign(anonymous_id: str, profile_id: int | None) -> bool:
    """Whether the anonymous id was claimed by a user who is another profile."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id FROM profiles_identity"
            " WHERE kind = 'anonymous' AND value = %s AND claimed_ms IS NOT NULL",
            [anonymous_id],
        )
        row = cursor.fetchone()
    return row is not None and row[0] != profile_id


def recent_many(profile_ids: Sequence[int]) -> dict[int, list[Touch]]:
    """As `recent`, for many profiles and all their identities at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, kind, value FROM profiles_identity WHERE profile_id = ANY(%s)",
            [list(profile_ids)],
        )
        identities = cursor.fetchall()
    hints: dict[int, list[Touch]] = {}
    keys = [(owner, key) for owner, *name in identities for key in hint_keys_of(*name)]
    found_in = list_hints([key for _, key in keys])
    for (profile_id, _), found in zip(keys, found_in, strict=True):
        if found:
            hints.setdefault(profile_id, []).extend(found)
    return {
        profile: combine(touches, hints[profile]) if profile in hints else touches
        for profile, touches in get_touches(profile_ids).items()
    }
