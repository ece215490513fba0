"""Two names turn out to be one person, or an anonymous id turns out to be somebody else's.

Only under the exclusive lock on who is who. Rows are copied to the profile that stays and deleted
from the other one; a row's `profile_id` is never updated. Events keep the ids they came with.
"""

from typing import Any, Final

from engage.profiles import activity, attributes, consent_rows, devices, history_blocks, identity
from engage.profiles.identity import Names
from engage.profiles.profile_rows import lock_profiles, read_attributes, write_attributes

EVENT_COLUMNS: Final = (
    "ts, id, source_id, message_id, kind, name, user_id, anonymous_id, properties, context,"
    " received_at"
)
COPY_EVENTS: Final = f"""
INSERT INTO profiles_event (profile_id, {EVENT_COLUMNS})
SELECT %s, {EVENT_COLUMNS} FROM profiles_event WHERE profile_id = %s
"""  # noqa: S608
ANONYMOUS_ONLY: Final = " AND anonymous_id = %s AND user_id = ''"
SPAN: Final = """
UPDATE profiles_profile w SET first_seen = least(w.first_seen, l.first_seen),
                              last_seen = greatest(w.last_seen, l.last_seen)
FROM profiles_profile l WHERE w.id = %s AND l.id = %s
"""
REDIRECT: Final = """
UPDATE profiles_profile SET merged_into = %s, attributes = '{}', stamps = '{}' WHERE id = %s
"""


def settle(cursor: Any, names: Names) -> set[int]:
    """Carry out the aliases and the better claims; the profiles that must be replayed."""
    for alias in sorted(names.aliases):
        settle_alias(cursor, names, alias)
    replayed: set[int] = set()
    for value, claim in sorted(names.better_claims().items()):
        known = names.anonymous[value]
        identity.set_claim(cursor, value, claim, had=known.claim)
        owner = names.users[claim.user_id]
        if known.profile_id == owner:
            continue
        if identity.can_adopt(names, value):
            merge(cursor, loser=known.profile_id, winner=owner, reason="anonymous id claimed")
            names.follow(known.profile_id, owner)
        else:
            move(cursor, value, source=known.profile_id, target=owner)
            names.anonymous[value] = known._replace(profile_id=owner)
            replayed |= {known.profile_id, owner}
    return replayed


def settle_alias(cursor: Any, names: Names, alias: identity.Alias) -> None:
    winner = names.users[alias.user_id]
    loser = names.users.get(alias.previous_id)
    if loser is None:
        identity.add_identities(cursor, [("user", alias.previous_id, winner, None)])
        names.users[alias.previous_id] = winner
    elif loser != winner:
        merge(cursor, loser=loser, winner=winner, reason="alias of a user id")
        names.follow(loser, winner)


def merge(cursor: Any, *, loser: int, winner: int, reason: str) -> None:
    """Everything of the loser becomes the winner's; the loser's row stays as a redirect.

    Each part of a profile keeps its newest statements, so joining two profiles gives what a
    replay of both their events would.
    """
    lock_profiles(cursor, [loser, winner])
    stored = read_attributes(cursor, [loser, winner])
    joined = attributes.join(*stored[winner], attributes.statements_of(*stored[loser]))
    if joined is not None:
        write_attributes(cursor, {winner: joined})
    consent_rows.copy(cursor, loser=loser, winner=winner)
    devices.copy(cursor, loser=loser, winner=winner)
    if touches := activity.read(cursor, [loser]).get(loser):
        activity.add(cursor, {winner: [touches]})
    cursor.execute(COPY_EVENTS, [winner, loser])
    cursor.execute(SPAN, [winner, loser])
    for table in ("consent", "device", "activity", "event"):
        cursor.execute(f"DELETE FROM profiles_{table} WHERE profile_id = %s", [loser])  # noqa: S608
    cursor.execute(
        "UPDATE profiles_identity SET profile_id = %s WHERE profile_id = %s", [winner, loser]
    )
    # A redirect always leads to a living profile in one step.
    cursor.execute(
        "UPDATE profiles_profile SET merged_into = %s WHERE merged_into = %s", [winner, loser]
    )
    cursor.execute(REDIRECT, [winner, loser])
    cursor.execute(
        "INSERT INTO profiles_merge (winner_id, loser_id, reason, merged_at)"
        " VALUES (%s, %s, %s, now())",
        [winner, loser, reason],
    )


def move(cursor: Any, anonymous_id: str, *, source: int, target: int) -> None:
    """The events of the anonymous id without a user become the target's.

    Both profiles are to be replayed afterwards: what the events said of the source is not known
    apart. The columnar history still has them under the source until it is rebuilt.
    """
    lock_profiles(cursor, [source, target])
    cursor.execute(COPY_EVENTS + ANONYMOUS_ONLY, [target, source, anonymous_id])
    cursor.execute(
        "DELETE FROM profiles_event WHERE profile_id = %s" + ANONYMOUS_ONLY,  # noqa: S608
        [source, anonymous_id],
    )
    cursor.execute(
        "UPDATE profiles_identity SET profile_id = %s WHERE kind = 'anonymous' AND value = %s",
        [target, anonymous_id],
    )
    history_blocks.mark_stale(cursor)
