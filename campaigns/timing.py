"""When each message of a run goes: local time, spread, rate, first part, quiet hours and cut-off.

All of them together give one planned time. The mark looks again at what may have changed by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from django.conf import settings

from campaigns.models import Campaign, Run
from campaigns.runs import allowed_lateness
from campaigns.schedule import FIRST_ZONE
from delivery import control_rows, controls, policy
from delivery.controls import Quiet
from engage.lib.ids import stable_unit
from engage.profiles import people

FIRST_PART: Final = 0.01  # of the people, where a run tries itself out first


@dataclass(frozen=True, slots=True)
class Times:
    not_before: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """The times of one chunk of a run."""

    run: Run
    zones: Mapping[int, tzinfo]  # of those whose clock matters
    quiet: Sequence[Quiet]
    now: datetime

    def times(self, person: int, *, place: int) -> Times:
        """`place`: how many messages of the run were planned before."""
        campaign, run = self.run.campaign, self.run
        zone = self.zones.get(person) or controls.find_zone(campaign.time_zone)
        local = campaign.in_local_time and not is_late(run, now=self.now)
        due = local_due(run, zone) if local else begin(run, now=self.now)
        if local and due + campaign.max_lateness < self.now:
            return Times(due, due)  # too late there: closed as expired, never sent
        at = due
        if campaign.spread:
            at += campaign.spread * stable_unit("spread", str(run.pk), str(person))
        if campaign.first_part_wait and not is_first(run, person):
            at += campaign.first_part_wait
        if campaign.per_minute and not local:
            at += timedelta(minutes=place / campaign.per_minute)
        expires_at = after(campaign, at, begins=due, zone=zone).expires_at
        if campaign.quiet == Campaign.Quiet.HOLD:
            at = controls.next_open(at, channel=campaign.channel, zone=zone, quiet=self.quiet)
        return Times(at, expires_at)


def plan(run: Run, profile_ids: Sequence[int], *, now: datetime) -> Plan:
    """Zones are read only where some rule looks at a clock."""
    campaign = run.campaign
    quiet = control_rows.read_rules().quiet if campaign.quiet == Campaign.Quiet.HOLD else ()
    zones: Mapping[int, tzinfo] = {}
    if campaign.in_local_time or quiet or campaign.cut_off is not None:
        zones = {
            person: controls.find_zone(name, default=settings.PEOPLE_TIME_ZONE)
            for person, name in people.list_zones(profile_ids).items()
        }
    return Plan(run, zones, quiet, now)


def after(campaign: Campaign, at: datetime, *, begins: datetime, zone: tzinfo) -> Times:
    """Due at a moment, whatever the hour: the mark looks at that.

    The cut-off is the first one after what `begins`: what its pace brings later is too late.
    """
    expires_at = at + useful_for(campaign)
    if campaign.cut_off is not None:
        expires_at = min(expires_at, next_wall(campaign, begins, zone))
    return Times(at, expires_at)


def useful_for(campaign: Campaign) -> timedelta:
    """How long after its time a message may still go; unless the marketer says, as its channel
    needs to try."""
    if campaign.expires_after is not None:
        return campaign.expires_after
    return policy.useful_for(campaign.channel)


def begin(run: Run, *, now: datetime) -> datetime:
    """A run that a human started late still gives its messages their full time."""
    return max(run.scheduled_for, run.frozen_at or now)


def is_late(run: Run, *, now: datetime) -> bool:
    """Its time is past on every clock: a human wants it all the same, so it goes at once."""
    return (run.frozen_at or now) - run.scheduled_for > allowed_lateness(run.campaign)


def local_due(run: Run, zone: tzinfo) -> datetime:
    """The run is due where the day begins first; the same wall clock elsewhere."""
    wall = run.scheduled_for.astimezone(FIRST_ZONE).replace(tzinfo=None)
    return wall.replace(tzinfo=zone).astimezone(UTC)


def is_first(run: Run, person: int) -> bool:
    return stable_unit("first part", str(run.pk), str(person)) < FIRST_PART


def next_wall(campaign: Campaign, at: datetime, zone: tzinfo) -> datetime:
    """The next time it is the campaign's cut-off on a clock of the zone."""
    local = at.astimezone(zone)
    assert campaign.cut_off is not None  # noqa: S101 - the caller looked
    day = local.date() + timedelta(days=local.time() >= campaign.cut_off)
    wall = campaign.cut_off.replace(fold=local.fold)  # of an hour that comes twice, the same pass
    return datetime.combine(day, wall, tzinfo=zone).astimezone(UTC)
