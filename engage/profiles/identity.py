"""Who is who: which profile an event belongs to.

An anonymous id belongs to the user whose claim is the earliest by (corrected time, message_id): a
claim is an event with both ids, or an alias. Its events without a user id are that user's. Two
users share a profile only after an alias. All of it is a function of the set of events, so the
order in which they arrive does not matter.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from django.db import connection

from engage.lib.bulk import array, arrays
from engage.profiles.events import StoredEvent

# What broken clients send instead of an id. They keep their events, but claim and merge nobody.
RESERVED: Final = frozenset(
    {"", "0", "-1", "null", "nil", "none", "nan", "undefined", "unknown", "guest", "anonymous",
     "true", "false", "[object object]", "user", "userid", "user_id", "distinct_id",
     "anonymousid", "anonymous_id", "not_authenticated", "00000000-0000-0000-0000-000000000000"}
)  # fmt: skip

READ: Final = """
SELECT value, profile_id, claimed_ms, claimed_message_id, claimed_by FROM profiles_identity
WHERE kind = %s AND value = ANY(%s::text[])
"""
WITH_USER: Final = """
SELECT DISTINCT profile_id FROM profiles_identity WHERE kind = 'user' AND profile_id = ANY(%s)
"""
ADD_PROFILES: Final = """
INSERT INTO profiles_profile (id, attributes, stamps, first_seen, last_seen, created_at)
SELECT id, '{}', '{}', to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0), now()
FROM unnest(%s::bigint[], %s::bigint[]) AS t (id, ms)
"""
# In sorted order: two consumers that add the same names wait for each other, never deadlock.
ADD: Final = """
INSERT INTO profiles_identity
    (kind, value, profile_id, claimed_ms, claimed_message_id, claimed_by, created_at)
SELECT kind, value, profile_id, claimed_ms, claimed_message_id, claimed_by, now()
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[])
  AS t (kind, value, profile_id, claimed_ms, claimed_message_id, claimed_by)
ORDER BY kind, value
ON CONFLICT DO NOTHING
"""
# Only if the claim is still the one that was read.
CLAIM: Final = """
UPDATE profiles_identity SET claimed_ms = %s, claimed_message_id = %s, claimed_by = %s
WHERE kind = 'anonymous' AND value = %s
  AND claimed_ms IS NOT DISTINCT FROM %s AND claimed_message_id = %s AND claimed_by = %s
"""


class Contended(Exception):
    """Another transaction named the same people at this moment; do it again, alone."""


class Claim(NamedTuple):
    """The smallest owns the anonymous id."""

    ts_ms: int
    message_id: str
    user_id: str


class Anonymous(NamedTuple):
    profile_id: int
    claim: Claim | None


class Alias(NamedTuple):
    ts_ms: int
    message_id: str
    previous_id: str
    user_id: str


Row = tuple[str, str, int, Claim | None]  # kind, value, profile, claim
NO_CLAIM: Final = (None, "", "")


@dataclass(slots=True)
class Names:
    """The names that occur in a batch, what it says of them, and what is known of them."""

    user_times: dict[str, int] = field(default_factory=dict)  # an event of theirs, for first_seen
    anonymous_times: dict[str, int] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)  # by anonymous id
    aliases: list[Alias] = field(default_factory=list)
    users: dict[str, int] = field(default_factory=dict)
    anonymous: dict[str, Anonymous] = field(default_factory=dict)
    with_user: set[int] = field(default_factory=set)  # profiles that have a user id

    def better_claims(self) -> dict[str, Claim]:
        """Claims on known anonymous ids that come before the one they have."""
        return {
            value: claim
            for value, claim in self.claims.items()
            if value in self.anonymous
            and ((had := self.anonymous[value].claim) is None or claim < had)
        }

    def follow(self, loser: int, winner: int) -> None:
        """All names of the loser are the winner's now."""
        self.users = {v: winner if p == loser else p for v, p in self.users.items()}
        self.anonymous = {
            value: known._replace(profile_id=winner) if known.profile_id == loser else known
            for value, known in self.anonymous.items()
        }

    def owner(self, event: StoredEvent) -> int:
        if event.user_id:
            return self.users[event.user_id]
        return self.anonymous[event.anonymous_id].profile_id


def is_storable(value: str) -> bool:
    """Whether anybody could have this name: no NUL, no half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value


def is_reserved(value: str) -> bool:
    return value.strip().lower() in RESERVED


def any_reserved(values: Iterable[str]) -> bool:
    return not RESERVED.isdisjoint(map(str.lower, map(str.strip, values)))


def names_of(events: Sequence[StoredEvent], times: Sequence[int]) -> Names:
    """What the events say of who is who."""
    names = Names()
    for event, ts_ms in zip(events, times, strict=True):
        if not event.user_id:
            if not event.anonymous_id:
                raise ValueError(f"event {event.message_id!r} names nobody")
            names.anonymous_times[event.anonymous_id] = ts_ms
            continue
        names.user_times[event.user_id] = ts_ms
        if event.anonymous_id:
            claim(names, event.anonymous_id, Claim(ts_ms, event.message_id, event.user_id))
        if event.kind == "alias" and event.previous_id:
            add_alias(names, Alias(ts_ms, event.message_id, event.previous_id, event.user_id))
    return names


def claim(names: Names, anonymous_id: str, claim: Claim) -> None:
    had = names.claims.get(anonymous_id)
    if had is not None and had <= claim:
        return
    if not is_reserved(claim.user_id) and not is_reserved(anonymous_id):
        names.claims[anonymous_id] = claim
        names.anonymous_times.setdefault(anonymous_id, claim.ts_ms)


def add_alias(names: Names, alias: Alias) -> None:
    """The old id may be an anonymous one or a user's: it is taken for both.

    A user of that name, known now or later, is the same person as the new id.
    """
    if is_reserved(alias.previous_id) or is_reserved(alias.user_id):
        return
    claim(names, alias.previous_id, Claim(alias.ts_ms, alias.message_id, alias.user_id))
    names.aliases.append(alias)


def read_known(cursor: Any, names: Names) -> None:
    """Fill in what is known of the names."""
    wanted = {*names.user_times, *(alias.previous_id for alias in names.aliases)}
    if wanted:
        cursor.execute(READ, ["user", array(wanted)])
        names.users = {row[0]: row[1] for row in cursor.fetchall()}
    if names.anonymous_times:
        cursor.execute(READ, ["anonymous", array(names.anonymous_times)])
        names.anonymous = {
            value: Anonymous(profile, None if ms is None else Claim(ms, message_id, user_id))
            for value, profile, ms, message_id, user_id in cursor.fetchall()
        }
    if unclaimed := [names.anonymous[value].profile_id for value in names.better_claims()]:
        cursor.execute(WITH_USER, [unclaimed])
        names.with_user = {row[0] for row in cursor.fetchall()}


def must_be_alone(names: Names) -> bool:
    """Whether a known name has to change its profile: a merge or a move.

    That needs the lock on who is who for oneself. New names, and a new user who adopts the
    profile of the anonymous id they signed up with, do not.
    """
    users = names.users
    if any(users.get(each.previous_id, -1) != users.get(each.user_id) for each in names.aliases):
        return True
    adopted: set[str] = set()
    for value, claim in names.better_claims().items():
        if users.get(claim.user_id) == names.anonymous[value].profile_id:
            continue
        if claim.user_id in users or claim.user_id in adopted or not can_adopt(names, value):
            return True
        adopted.add(claim.user_id)
    return False


def can_adopt(names: Names, anonymous_id: str) -> bool:
    """Whether the profile of the anonymous id is nobody's yet."""
    known = names.anonymous[anonymous_id]
    return known.claim is None and known.profile_id not in names.with_user


def add_missing(cursor: Any, names: Names) -> None:
    """Make the names that are not there, and profiles for them.

    Raises
    ------
    Contended
        Another transaction made one of them at the same time.
    """
    adopted = adopt(names)
    users = sorted(names.user_times.keys() - names.users.keys())
    anonymous = sorted(names.anonymous_times.keys() - names.anonymous.keys())
    strangers = [value for value in anonymous if value not in names.claims]
    times = [names.user_times[value] for value in users]
    profiles = add_profiles(cursor, times + [names.anonymous_times[value] for value in strangers])
    names.users.update(zip(users, profiles, strict=False))
    own = dict(zip(strangers, profiles[len(users) :], strict=True))
    for value in anonymous:
        claim = names.claims.get(value)
        profile = own[value] if claim is None else names.users[claim.user_id]
        names.anonymous[value] = Anonymous(profile, claim)
    rows: list[Row] = [("user", value, names.users[value], None) for value in adopted + users]
    rows += [("anonymous", value, *names.anonymous[value]) for value in anonymous]
    add_identities(cursor, rows)


def adopt(names: Names) -> list[str]:
    """New users take over the unclaimed anonymous profiles they claim, one each; who did."""
    adopted = []
    for value, claim in sorted(names.better_claims().items()):
        if claim.user_id not in names.users and can_adopt(names, value):
            names.users[claim.user_id] = names.anonymous[value].profile_id
            adopted.append(claim.user_id)
    return adopted


def add_profiles(cursor: Any, times: Sequence[int]) -> list[int]:
    """New profiles, seen at the given times; their ids."""
    if not times:
        return []
    cursor.execute(
        "SELECT nextval(pg_get_serial_sequence('profiles_profile', 'id'))"
        " FROM generate_series(1, %s)",
        [len(times)],
    )
    ids = [row[0] for row in cursor.fetchall()]
    cursor.execute(ADD_PROFILES, [array(ids), array(times)])
    return ids


def add_identities(cursor: Any, rows: Sequence[Row]) -> None:
    if rows:
        flat = [
            (kind, value, profile, *(claim or NO_CLAIM)) for kind, value, profile, claim in rows
        ]
        cursor.execute(ADD, arrays(flat))
        if cursor.rowcount < len(rows):
            raise Contended


def set_claim(cursor: Any, anonymous_id: str, claim: Claim, *, had: Claim | None) -> None:
    """Write the better claim, unless the one that was read was replaced meanwhile."""
    cursor.execute(CLAIM, [*claim, anonymous_id, *(had or NO_CLAIM)])
    if cursor.rowcount != 1:
        raise Contended


# --- looking people up -------------------------------------------------------------------------


def find_profile_id(*, user_id: str | None = None, anonymous_id: str | None = None) -> int | None:
    """The profile of the user id; of the anonymous id when there is no user id."""
    kind, value = ("user", user_id) if user_id else ("anonymous", anonymous_id)
    if not value or not is_storable(value):
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id FROM profiles_identity WHERE kind = %s AND value = %s",
            [kind, value],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def follow_redirect(profile_id: int) -> int:
    """The profile that a merged one became; itself when it was not merged."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT merged_into FROM profiles_profile WHERE id = %s", [profile_id])
        row = cursor.fetchone()
    return profile_id if row is None or row[0] is None else int(row[0])


def list_identities(profile_ids: Collection[int]) -> dict[int, list[tuple[str, str]]]:
    """(kind, value) of each profile; user ids first, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, kind, value FROM profiles_identity WHERE profile_id = ANY(%s)"
            " ORDER BY kind DESC, id",
            [list(profile_ids)],
        )
        listed: dict[int, list[tuple[str, str]]] = {}
        for profile_id, kind, value in cursor.fetchall():
            listed.setdefault(profile_id, []).append((kind, value))
    return listed
