"""A profile's state made anew from its stored events.

The state is a function of the events, so a replay changes nothing, except where events left the
profile. Statements older than the oldest month that is still kept stay: their events are gone.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from engage.lib import clock
from engage.profiles import (
    activity,
    attributes,
    dedupe,
    event_rows,
    extract,
    partitions,
    profile_rows,
    statements,
    terms,
)
from engage.profiles.statements import Statements

READ: Final = """
SELECT kind, name, floor(extract(epoch FROM ts) * 1000)::bigint, message_id, properties::text,
       context::text
FROM profiles_event WHERE profile_id = %s
"""
SPAN: Final = """
UPDATE profiles_profile
SET first_seen = CASE WHEN first_seen < %(kept)s THEN first_seen
                      ELSE to_timestamp(%(first)s / 1000.0) END,
    last_seen = to_timestamp(%(last)s / 1000.0)
WHERE id = %(profile)s
"""
GONE: Final = """
SELECT device_id, token, gone_at FROM profiles_device WHERE profile_id = %s AND gone_at IS NOT NULL
"""
# A device whose token is older than the kept events stays as it is.
FORGET: Final = """
DELETE FROM profiles_consent WHERE profile_id = %(profile)s AND stated_ms >= %(kept_ms)s;
DELETE FROM profiles_device WHERE profile_id = %(profile)s AND last_seen >= %(kept)s
    AND (token = '' OR token_ms >= %(kept_ms)s)
"""
STILL_GONE: Final = """
UPDATE profiles_device SET gone_at = %s WHERE profile_id = %s AND device_id = %s AND token = %s
"""


def replay(cursor: Any, profile_ids: Collection[int]) -> None:
    """Replace the state of the profiles, in the caller's transaction."""
    if not profile_ids:
        return
    kept = partitions.oldest_moment(cursor)
    for profile_id in profile_rows.lock_profiles(cursor, profile_ids):
        replay_one(cursor, profile_id, kept_ms=clock.to_millis(kept))


def replay_one(cursor: Any, profile_id: int, *, kept_ms: int) -> None:
    said, records = read_said(cursor, profile_id)
    place = {"profile": profile_id, "kept_ms": kept_ms, "kept": clock.from_millis(kept_ms)}
    cursor.execute(GONE, [profile_id])
    gone = cursor.fetchall()
    cursor.execute(FORGET, place)
    replace_attributes(cursor, profile_id, said.attributes.get(profile_id, {}), kept_ms=kept_ms)
    statements.write(cursor, said)
    for device_id, token, gone_at in gone:
        cursor.execute(STILL_GONE, [gone_at, profile_id, device_id, token])
    old = activity.read(cursor, [profile_id]).get(profile_id, b"")
    activity.replace(cursor, {profile_id: [activity.before(old, ts_ms=kept_ms), *records]})
    if profile_id in said.seen:
        first, last = said.seen[profile_id]
        cursor.execute(SPAN, {**place, "first": first, "last": last})


def read_said(cursor: Any, profile_id: int) -> tuple[Statements, list[bytes]]:
    """What the stored events of the profile say, and its touches."""
    cursor.execute(READ, [profile_id])
    said = Statements()
    rows = []
    for kind, name, ts_ms, message_id, properties, context in cursor.fetchall():
        found = msgspec.json.decode(properties)
        said.add(
            profile_id,
            kind=kind,
            name=name,
            ts_ms=ts_ms,
            message_id=message_id,
            properties=found,
            context=msgspec.json.decode(context),
        )
        if kind != "identify" and (items := extract.items(name, found)):
            rows.append((ts_ms, dedupe.digest_of(message_id), name, items))
    return said, pack_records(cursor, profile_id, rows)


def pack_records(
    cursor: Any, profile_id: int, rows: list[tuple[int, str, str, list[str]]]
) -> list[bytes]:
    if not rows:
        return []
    times, digests, names, items = zip(*rows, strict=True)
    item_numbers = terms.numbers(cursor, "item", {item for found in items for item in found})
    event_numbers = terms.numbers(cursor, "event", names)
    records = event_rows.records_of(
        times,
        digests,
        [profile_id] * len(rows),
        [[item_numbers[item] for item in found] for found in items],
        [event_numbers[name] for name in names],
    )
    return records[profile_id]


def replace_attributes(
    cursor: Any, profile_id: int, stated: Mapping[str, Any], *, kept_ms: int
) -> None:
    """Leave only what is older than the kept events, or came without one; add the rest anew."""
    values, stamps = profile_rows.read_attributes(cursor, [profile_id])[profile_id]
    old = {name for name, stamp in stamps.items() if stamp[0] < kept_ms}
    base = (
        {name: value for name, value in values.items() if name in old or name not in stamps},
        {name: stamp for name, stamp in stamps.items() if name in old},
    )
    joined = attributes.join(*base, dict(stated))
    profile_rows.write_attributes(cursor, {profile_id: joined or base})
