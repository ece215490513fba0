"""The rules of `controls.py` and what they look at, read in the transaction that marks.

Two marks for one person wait for each other where there are caps: otherwise each would see room
for one more.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from delivery import controls, planning, policy
from delivery.channels import registry
from delivery.controls import EXEMPT_KINDS, Cap, Person, Quiet, Rules, Sent, Wish
from delivery.drafts import Draft
from delivery.models import Message
from delivery.policy import Allow, Decision
from engage.lib.prepared import Statement

LONGEST_PERIOD: Final = timedelta(days=32)
MOST_SENT: Final = 500  # of one person in that time, the newest
LOCK_CLASS: Final = 1_163_413_601  # of our locks on people; no other lock uses two numbers

RULES: Final = """
SELECT 'cap', name, most, period, hours, channel, topic, NULL::time, NULL::time
FROM delivery_cap WHERE enabled
UNION ALL
SELECT 'quiet', '', 0, '', 0, channel, '', begin, "end" FROM delivery_quiethours
"""
# Whether there is any rule, or any wish of these people: mostly there is none, and then the mark
# needs to ask no further.
MAY_SPEAK: Final = """
EXISTS (SELECT 1 FROM delivery_cap WHERE enabled) OR EXISTS (SELECT 1 FROM delivery_quiethours)
OR EXISTS (SELECT 1 FROM delivery_preference WHERE profile_id = ANY(%(profiles)s::bigint[]))
OR EXISTS (
  SELECT 1 FROM profiles_profile loser JOIN delivery_preference w ON w.profile_id = loser.id
  WHERE loser.merged_into = ANY(%(profiles)s::bigint[]) AND loser.merged_into IS NOT NULL)
"""
LOCK: Final = """
SELECT pg_advisory_xact_lock(%s, number) FROM (
  SELECT DISTINCT (id %% 2147483647)::int AS number FROM unnest(%s::bigint[]) AS p (id) ORDER BY 1
) AS people
"""
PEOPLE: Final = Statement(
    "wishes",
    """
SELECT p.id, p.attributes ->> 'timezone', w.most_a_week, w.quiet_begin, w.quiet_end, w.paused_until
FROM profiles_profile p LEFT JOIN LATERAL (
  -- Of people who turned out to be one, the newest word counts.
  SELECT * FROM delivery_preference WHERE profile_id IN (
    SELECT p.id UNION ALL SELECT id FROM profiles_profile WHERE merged_into = p.id)
  ORDER BY stated_at DESC, profile_id LIMIT 1) w ON true
WHERE p.id = ANY(%(profiles)s)
""",
    types={"profiles": "bigint[]"},
)
OWNERS: Final = """
WITH RECURSIVE owner (asked, id) AS (
  SELECT id, id FROM unnest(%(profiles)s::bigint[]) AS p (id)
  UNION
  SELECT owner.asked, m.loser_id FROM owner JOIN profiles_merge m ON m.winner_id = owner.id
)
"""
SENT: Final = f"""{OWNERS}
SELECT owner.asked, m.run_id, m.occasion, m.key, m.channel, m.topic,
  coalesce(m.marked_at, m.finished_at)
FROM owner CROSS JOIN LATERAL (
  SELECT * FROM delivery_message
  WHERE profile_id = owner.id AND state IN ('attempting', 'accepted', 'unknown')
    AND NOT kind = ANY(%(exempt)s) AND coalesce(marked_at, finished_at) >= %(since)s
  ORDER BY id DESC LIMIT %(most)s) AS m
"""  # noqa: S608
RIVALS: Final = """
SELECT m.profile_id, m.run_id, m.occasion, m.key,
  m.channel, m.topic, m.expires_at, m.priority, m.worth, m.quiet
FROM delivery_message m
WHERE m.profile_id = ANY(%(profiles)s) AND m.state IN ('planned', 'leased')
  AND NOT m.kind = ANY(%(exempt)s) AND m.not_before <= %(soon)s AND m.expires_at > %(now)s
  AND m.channel = ANY(%(channels)s)
  AND NOT EXISTS (SELECT 1 FROM delivery_runhold hold WHERE hold.run_id = m.run_id)
  AND NOT EXISTS (
    SELECT 1 FROM delivery_channelpause pause
    WHERE pause.channel = m.channel AND pause.until > %(now)s)
"""
# Runs whose messages cannot be seen yet, of people behind `reached`.
COMING: Final = """
SELECT p.run_id, p.channel, p.topic, p.priority, p.reached FROM delivery_runplan p
WHERE p.began_at > %s AND p.channel = ANY(%s)
  AND NOT EXISTS (SELECT 1 FROM delivery_runhold hold WHERE hold.run_id = p.run_id)
"""
OPEN_TO: Final = f"""
SELECT m.id FROM unnest(%(profiles)s::bigint[], %(ids)s::uuid[], %(addresses)s::text[],
                        %(digests)s::uuid[]) AS asked (profile_id, id, address, digest)
JOIN delivery_message m ON m.profile_id = asked.profile_id AND m.id = asked.id
{policy.VERDICT_TABLES}
WHERE {policy.VERDICT} = 'allow'
"""  # noqa: S608


def read_rules() -> Rules:
    """As they stand now: what was committed a moment ago holds."""
    with connection.cursor() as cursor:
        cursor.execute(RULES)
        rows = cursor.fetchall()
    caps = [Cap(*row[1:7]) for row in rows if row[0] == "cap"]
    quiet = [Quiet(row[7], row[8], row[5]) for row in rows if row[0] == "quiet"]
    return Rules(caps, quiet)


def judge(
    messages: Sequence[Message],
    drafts: Sequence[Draft],
    *,
    parameters: Mapping[str, Any],
    now: datetime,
) -> dict[UUID, Decision]:
    """What the rules say of each message, in the caller's transaction; nothing said: it may go.

    Messages of one person are judged one after the other, the best first, and only those count
    that nothing else forbids. `parameters` are those of the mark.
    """
    bound = [
        (message, draft)
        for message, draft in zip(messages, drafts, strict=True)
        if message.kind not in EXEMPT_KINDS
    ]
    if not bound:
        return {}
    rules = read_rules()
    profile_ids = sorted({message.profile_id for message, _ in bound})
    if rules.caps:
        _lock(profile_ids)
        rules = read_rules()  # what was committed while we waited holds
    people = read_people(profile_ids, rules, now=now)
    if not (rules.caps or rules.quiet or any(map(has_wishes, people.values()))):
        return {}
    open_to = _list_open(parameters)
    wishes = [
        (message, wish_of(message, worth=draft.worth))
        for message, draft in bound
        if message.id in open_to and message.profile_id in people
    ]
    wishes.sort(key=lambda pair: (-pair[1].priority, -(pair[1].worth or 0.0)))
    decisions: dict[UUID, Decision] = {}
    for message, wish in wishes:
        person = people[message.profile_id]
        decision = controls.decide(wish, person, rules, now=now)
        if isinstance(decision, Allow):
            controls.settle(wish, person, now=now)
        else:
            decisions[message.id] = decision
    return decisions


def has_wishes(person: Person) -> bool:
    return person.quiet is not None or person.most_a_week is not None or bool(person.paused_until)


def wish_of(message: Message, *, worth: float | None) -> Wish:
    return Wish(
        unit_of(message.run_id, message.occasion, message.key),
        message.channel,
        message.topic,
        message.expires_at,
        priority=message.priority,
        worth=worth,
        quiet=message.quiet,
    )


def unit_of(run_id: int | None, occasion: UUID | None, key: UUID) -> str:
    """What counts as one: two devices are told the same."""
    if run_id is None:
        return str(key)
    return f"run {run_id}" if occasion is None else f"run {run_id}, {occasion}"


def read_people(profile_ids: Sequence[int], rules: Rules, *, now: datetime) -> dict[int, Person]:
    """Those who exist, with their sends where a cap asks for them. Where there are caps, who calls
    has locked all of them; who has a maximum of their own is locked here."""
    people = _read_wishes(profile_ids)
    if not rules.caps and (own := _list_limited(people)):
        _lock(own)
        people = _read_wishes(profile_ids)  # who changed their mind while we waited is heard
    capped = list(profile_ids) if rules.caps else _list_limited(people)
    if not capped:
        return people
    sent, rivals = read_sent(capped, now=now), _read_rivals(capped, now=now)
    return {
        profile_id: one._replace(sent=sent[profile_id], rivals=rivals[profile_id])
        for profile_id, one in people.items()
    }


def _list_limited(people: Mapping[int, Person]) -> list[int]:
    return [profile_id for profile_id, one in people.items() if one.most_a_week is not None]


def _lock(profile_ids: Sequence[int]) -> None:
    """In the order of their ids, until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [LOCK_CLASS, list(profile_ids)])


def _read_wishes(profile_ids: Sequence[int]) -> dict[int, Person]:
    return {
        profile_id: Person(
            zone=controls.find_zone(zone, default=settings.PEOPLE_TIME_ZONE),
            sent=[],
            quiet=Quiet(begin, end) if begin is not None else None,
            most_a_week=most_a_week,
            paused_until=paused_until,
        )
        for profile_id, zone, most_a_week, begin, end, paused_until in PEOPLE.fetch_all(
            {"profiles": list(profile_ids)}
        )
    }


def read_sent(profile_ids: Sequence[int], *, now: datetime) -> Mapping[int, list[Sent]]:
    """What went to each person in the last 32 days, or may have, by the names they have now."""
    found: dict[int, list[Sent]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            SENT,
            {
                "profiles": list(profile_ids),
                "exempt": list(EXEMPT_KINDS),
                "since": now - LONGEST_PERIOD,
                "most": MOST_SENT,
            },
        )
        for profile_id, run_id, occasion, key, channel, topic, at in cursor.fetchall():
            unit = unit_of(run_id, occasion, key)
            found[profile_id].append(Sent(unit, channel, topic, at.astimezone(UTC)))
    for one in found.values():
        one.sort(key=lambda sent: sent.at)
    return found


def _read_rivals(profile_ids: Sequence[int], *, now: datetime) -> Mapping[int, list[Wish]]:
    """What is due for each person, and the runs that may still plan something for them.

    The runs are read first: whoever they had come to then has a message that is seen now. What
    goes by a channel that is not set up is not claimed, so waiting for it would have no end.
    """
    channels = registry.list_ready()
    found: dict[int, list[Wish]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(COMING, [now - planning.WAITED_FOR, channels])
        for run_id, channel, topic, priority, reached in cursor.fetchall():
            coming = Wish(
                unit_of(run_id, None, UUID(int=0)), channel, topic, now, priority, worth=None
            )
            for profile_id in profile_ids:
                if profile_id > reached:
                    found[profile_id].append(coming)
        cursor.execute(
            RIVALS,
            {
                "profiles": list(profile_ids),
                "exempt": list(EXEMPT_KINDS),
                "channels": channels,
                "now": now,
                # What waits for another one is still a rival.
                "soon": now + timedelta(seconds=controls.OUTRANKED_SECONDS),
            },
        )
        for profile_id, run_id, occasion, key, *wish in cursor.fetchall():
            channel, topic, expires_at, priority, worth, quiet = wish
            found[profile_id].append(
                Wish(
                    unit_of(run_id, occasion, key),
                    channel,
                    topic,
                    expires_at,
                    priority,
                    worth,
                    quiet,
                )
            )
    return found


def _list_open(parameters: Mapping[str, Any]) -> set[UUID]:
    """The messages that neither consent nor suppression nor anything of the kind forbids."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_TO, parameters)
        return {row[0] for row in cursor.fetchall()}
