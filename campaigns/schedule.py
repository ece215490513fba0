"""When a campaign is due. Recurrence rules speak of the wall clock of the campaign's zone.

A daily 09:00 stays 09:00 through a change of the clocks. A time that the change skips comes at the
instant it would have been; one that it repeats comes once, the first time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrule, rrulestr

from campaigns.errors import Problem
from campaigns.models import Campaign

MOST_OFTEN = "may come at most once an hour"
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
TIMED = (Campaign.Schedule.AT, Campaign.Schedule.RECURRING)
FIRST_ZONE = ZoneInfo("Pacific/Kiritimati")  # where every day begins, all year
ZONES_APART = timedelta(hours=26)  # from there to where it begins last
LONGEST_SHIFT = timedelta(hours=2)  # of the clocks, at the station Troll
HORIZON = timedelta(days=3_653)  # a rule that does not come in ten years never comes


def find_due(campaign: Campaign, *, now: datetime) -> datetime | None:
    """The latest due time at or before `now`; None when there is none.

    Only the latest: after a standstill of days nobody wants the runs of every day. So none starts
    when the next is due, too, however late the campaign lets it be.
    """
    if campaign.schedule == Campaign.Schedule.AT:
        first = first_due(campaign)
        return first if first and first <= now else None
    if campaign.schedule != Campaign.Schedule.RECURRING or campaign.starts_at is None:
        return None
    zone = clock_of(campaign)
    last = min(now, campaign.ends_at or now)
    local = last.astimezone(zone).replace(tzinfo=None)
    rule = _rule(campaign, _zone(campaign.time_zone))
    # The clock may have been set back since: then the latest time reads later than now does.
    found = rule.before(local + LONGEST_SHIFT, inc=True)
    while found and _instant(found, zone) > last:
        found = rule.before(found)
    due = _instant(found, zone) if found else None
    if due is None or (campaign.launched_at and due < campaign.launched_at):
        return None
    return due


def find_next(campaign: Campaign, *, after: datetime) -> datetime | None:
    """The first due time after a moment; None when there will be no other."""
    if campaign.schedule == Campaign.Schedule.AT:
        first = first_due(campaign)
        return first if first and first > after else None
    if campaign.schedule != Campaign.Schedule.RECURRING or campaign.starts_at is None:
        return None
    zone = clock_of(campaign)
    # The clock may have been set on since: then a time to come reads earlier than `after` does.
    local = after.astimezone(zone).replace(tzinfo=None) - LONGEST_SHIFT
    for found in _rule(campaign, _zone(campaign.time_zone)).xafter(local, count=8, inc=True):
        due = _instant(found, zone)
        if campaign.ends_at and due > campaign.ends_at:
            return None
        if due > after:
            return due
    return None


def first_due(campaign: Campaign) -> datetime | None:
    """When a campaign that is sent once is due: at its start, or where that hour comes first."""
    if campaign.starts_at is None or not campaign.in_local_time:
        return campaign.starts_at
    wall = campaign.starts_at.astimezone(_zone(campaign.time_zone)).replace(tzinfo=None)
    return _instant(wall, clock_of(campaign))


def clock_of(campaign: Campaign) -> tzinfo:
    """The clock that makes a run due. In local time it is that of the first who see the day."""
    return FIRST_ZONE if campaign.in_local_time else _zone(campaign.time_zone)


def check(campaign: Campaign) -> Iterator[Problem]:
    """What is wrong with the schedule, as sentences."""
    try:
        zone = _zone(campaign.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield Problem(
            "time_zone", f"“{campaign.time_zone}” is no time zone, such as Europe/Berlin"
        )
        return
    schedule = Campaign.Schedule
    if campaign.schedule in {schedule.AT, schedule.RECURRING} and campaign.starts_at is None:
        yield Problem("starts_at", "is missing")
        return
    if campaign.starts_at and campaign.ends_at and campaign.ends_at <= campaign.starts_at:
        yield Problem("ends_at", "is not after the start")
    if campaign.schedule == schedule.RECURRING:
        yield from _check_rule(campaign, zone)


def _check_rule(campaign: Campaign, zone: tzinfo) -> Iterator[Problem]:
    if not campaign.recurrence.strip():
        yield Problem("recurrence", "is missing; such as FREQ=DAILY;BYHOUR=9;BYMINUTE=0")
        return
    try:
        rule = _rule(campaign, zone)
        first = list(rule.xafter(datetime.min, count=50))  # noqa: DTZ901 wall clock
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as exc:
        yield Problem("recurrence", f"is no recurrence rule: {exc}")
        return
    if not first:
        yield Problem("recurrence", "never comes in ten years")
    elif any((b - a).total_seconds() < 3600 for a, b in pairwise(first)):
        yield Problem("recurrence", MOST_OFTEN)


def _rule(campaign: Campaign, zone: tzinfo) -> rrule:
    begin = campaign.starts_at or campaign.created_at
    start = begin.astimezone(zone).replace(tzinfo=None, microsecond=0)
    text = campaign.recurrence.strip().removeprefix("RRULE:")
    parts = dict(part.split("=", 1) for part in text.upper().split(";") if "=" in part)
    if parts.get("FREQ") not in FREQUENCIES:
        raise ValueError(f"FREQ must be one of {', '.join(FREQUENCIES)}")
    rule = rrulestr(text, dtstart=start)
    if not isinstance(rule, rrule) or "DTSTART" in text.upper():
        raise ValueError("one rule, without DTSTART: the campaign has its own start")
    return rule if "UNTIL" in parts or "COUNT" in parts else rule.replace(until=start + HORIZON)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _instant(local: datetime, zone: tzinfo) -> datetime:
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)
