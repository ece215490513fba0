"""Reading and writing many rows of profiles at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from engage.lib.bulk import array, arrays
from engage.profiles.attributes import Stamp

Known = tuple[dict[str, Any], dict[str, Stamp]]  # attributes and stamps

# A key-less lock: rows of other tables may still refer to the profile.
LOCK: Final = (
    "SELECT id FROM profiles_profile WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE"
)
READ: Final = (
    "SELECT id, attributes::text, stamps::text FROM profiles_profile WHERE id = ANY(%s::bigint[])"
)
# Those for which a context tells (profile, name, day, value) something new.
READ_TOLD: Final = """
SELECT id, attributes::text, stamps::text FROM profiles_profile WHERE id IN (
    SELECT p.id FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[])
           AS v (id, name, day_ms, value)
    JOIN profiles_profile p ON p.id = v.id
    WHERE NOT coalesce(
        jsonb_array_length(p.stamps -> v.name) = 2
        OR (p.stamps -> v.name ->> 0)::bigint > v.day_ms
        OR (p.stamps -> v.name ->> 0)::bigint = v.day_ms AND p.attributes ->> v.name = v.value,
        false))
"""
WRITE: Final = """
UPDATE profiles_profile p SET attributes = v.attributes::jsonb, stamps = v.stamps::jsonb
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS v (id, attributes, stamps) WHERE p.id = v.id
"""
SEEN: Final = """
UPDATE profiles_profile p
SET first_seen = least(p.first_seen, to_timestamp(v.first / 1000.0)),
    last_seen = greatest(p.last_seen, to_timestamp(v.last / 1000.0))
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS v (id, first, last)
WHERE p.id = v.id AND (p.first_seen > to_timestamp(v.first / 1000.0)
                       OR p.last_seen < to_timestamp(v.last / 1000.0))
"""


def lock_profiles(cursor: Any, profile_ids: Iterable[int]) -> list[int]:
    """Lock the profiles in the order of their ids; those that exist."""
    cursor.execute(LOCK, [array(sorted(profile_ids))])
    return [row[0] for row in cursor.fetchall()]


def read_attributes(cursor: Any, profile_ids: Collection[int]) -> dict[int, Known]:
    if not profile_ids:
        return {}
    cursor.execute(READ, [array(profile_ids)])
    return decode(cursor.fetchall())


def read_told_otherwise(
    cursor: Any, told: Sequence[tuple[int, str, int, str]]
) -> dict[int, Known]:
    """The profiles to which contexts tell something new: (profile, name, day in ms, value)."""
    if not told:
        return {}
    cursor.execute(READ_TOLD, arrays(told))
    return decode(cursor.fetchall())


def decode(rows: Iterable[tuple[int, str, str]]) -> dict[int, Known]:
    read = msgspec.json.decode
    return {profile: (read(attributes), read(stamps)) for profile, attributes, stamps in rows}


def write_attributes(cursor: Any, known: Mapping[int, Known]) -> None:
    if known:
        attributes = [msgspec.json.encode(each[0]).decode() for each in known.values()]
        stamps = [msgspec.json.encode(each[1]).decode() for each in known.values()]
        cursor.execute(WRITE, [array(known), array(attributes), array(stamps)])


def widen_seen(cursor: Any, seen: Mapping[int, tuple[int, int]]) -> None:
    """Make first_seen and last_seen of each profile cover (first, last) in ms."""
    if seen:
        first, last = zip(*seen.values(), strict=True)
        cursor.execute(SEEN, [array(seen), array(first), array(last)])
