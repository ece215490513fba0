"""Reading and writing many rows of profiles at once."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from engage.profiles.attributes import Stamp

Known = tuple[dict[str, Any], dict[str, Stamp]]  # attributes and stamps

# A key-less lock: rows of other tables may still refer to the profile.
LOCK: Final = "SELECT id FROM profiles_profile WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
READ: Final = "SELECT id, attributes::text, stamps::text FROM profiles_profile WHERE id = ANY(%s)"
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
    cursor.execute(LOCK, [sorted(profile_ids)])
    return [row[0] for row in cursor.fetchall()]


def read_attributes(cursor: Any, profile_ids: Iterable[int]) -> dict[int, Known]:
    cursor.execute(READ, [list(profile_ids)])
    decode = msgspec.json.decode
    return {row[0]: (decode(row[1]), decode(row[2])) for row in cursor.fetchall()}


def write_attributes(cursor: Any, known: Mapping[int, Known]) -> None:
    if known:
        attributes = [msgspec.json.encode(each[0]).decode() for each in known.values()]
        stamps = [msgspec.json.encode(each[1]).decode() for each in known.values()]
        cursor.execute(WRITE, [list(known), attributes, stamps])


def widen_seen(cursor: Any, seen: Mapping[int, tuple[int, int]]) -> None:
    """Make first_seen and last_seen of each profile cover (first, last) in ms."""
    if seen:
        first, last = zip(*seen.values(), strict=True)
        cursor.execute(SEEN, [list(seen), list(first), list(last)])
