"""What stops a run by itself: too many errors, bounces or complaints, too many people.

A run that was stopped keeps its place and waits for a human, who sees why. Resumed, it is judged
by what happens from then on.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final, NamedTuple

from campaigns import lifecycle
from campaigns.errors import IllegalMove
from campaigns.models import Campaign, Run
from delivery import reports

logger = logging.getLogger(__name__)


class Rail(NamedTuple):
    """At most `share` of what is in the states, once there are `least` and `some` bad ones."""

    name: str
    bad: str
    states: Sequence[str]
    share: float
    least: int
    some: int


# Large receivers look closer at a sender from twice these shares on.
RAILS: Final = (
    # An unknown outcome is no success: a provider that only times out would never stop a run. That
    # a worker of ours died says nothing of the run.
    Rail("errors", "errors", ("accepted", "failed", "unknown"), 0.2, 100, 20),
    Rail("bounces", "bounced", ("accepted", "failed"), 0.025, 200, 10),
    Rail("complaints", "complained", ("accepted",), 0.0005, 200, 3),
)
OVERSIZE: Final = "more people than expected"
# A run that goes on for months, as one for a server does, must not live on its good old days.
LOOKED_BACK: Final = timedelta(days=7)


def watch(now: datetime) -> list[int]:
    """Stop the runs that went off the rails; their ids. Safe to run twice."""
    stopped = []
    under_way = [Run.State.PLANNING, Run.State.SENDING]
    for run in Run.objects.filter(state__in=under_way).select_related("campaign"):
        problem = find_problem(run, now=now)
        if problem and stop(run, problem, now=now):
            stopped.append(run.pk)
    return stopped


def find_problem(run: Run, *, now: datetime) -> str:
    """What is wrong, as a sentence; empty where nothing is."""
    since = max(now - LOOKED_BACK, run.watched_from or now - LOOKED_BACK)
    found = reports.count_bad(run.pk, since=since)
    for rail in RAILS:
        bad = getattr(found, rail.bad)
        if bad < rail.some:
            continue
        # With so many more the share is kept: a run of millions is not counted through.
        enough = max(rail.least, ceil(bad / rail.share))
        of = reports.count_answered(run.pk, states=rail.states, since=since, most=enough)
        if of >= rail.least and bad > rail.share * of:
            return f"{rail.name}: {bad:,} of {of:,} ({bad / of:.2%}), allowed are {rail.share:.2%}"
    return ""


def stop(run: Run, reason: str, *, now: datetime) -> bool:
    """Pause its campaign, saying why; whether it still ran."""
    return stop_campaign(run.campaign_id, reason, now=now)


def stop_campaign(campaign_id: int, reason: str, *, now: datetime) -> bool:
    """For a human to see why; whether it still ran."""
    try:
        lifecycle.pause(Campaign.objects.get(pk=campaign_id), now=now, reason=reason)
    except IllegalMove:  # somebody paused or cancelled it a moment ago
        return False
    logger.warning("campaign stopped", extra={"campaign": campaign_id, "reason": reason})
    return True


def is_oversize(run: Run) -> bool:
    """The audience turned out larger than the marketer said it would be."""
    most = run.campaign.most_people
    return most is not None and run.audience > most and not run.oversize_allowed
