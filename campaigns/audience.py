"""The people of a run, walked in ranges of profile ids."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from campaigns.models import Campaign
from campaigns.segments import reach, rules


@dataclass(frozen=True, slots=True)
class Range:
    """Profiles with `after` < id ≤ `upto`; `last` when none follow inside the frozen end."""

    after: int
    upto: int
    last: bool


def newest_profile_id() -> int:
    """The frozen end of an audience: who comes later is not in it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM profiles_profile")
        return int(cursor.fetchone()[0])


def next_range(*, after: int, end: int, profiles: int) -> Range:
    """The next so many profiles by id, members or not: each range costs the same."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(id), count(*) FROM (SELECT id FROM profiles_profile "
            "WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) AS next",
            [after, end, profiles],
        )
        upto, found = cursor.fetchone()
    if upto is None or found < profiles:
        return Range(after, end, last=True)
    return Range(after, upto, last=upto >= end)


def current_rule(campaign: Campaign) -> Any:
    """The rule of the campaign's segment as it stands; without a segment, everybody."""
    return campaign.segment.rule if campaign.segment else {}


def members(rule: object, part: Range, *, now: datetime) -> list[int]:
    """Whom of a range the rule gives at `now`."""
    return reach.list_members(rules.parse(rule), now=now, after=part.after, upto=part.upto)
