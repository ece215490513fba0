"""Runs: started once per due time, finished when everything is planned and nothing is open."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Min, Q

from campaigns import schedule
from campaigns.errors import IllegalMove
from campaigns.models import Campaign, Run
from delivery import outbox, planning, rates
from delivery.models import Message, RunHold
from engage.lib import failpoints

logger = logging.getLogger(__name__)

State = Run.State
AFTER_THE_END = timedelta(minutes=1)
UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError)  # a rule, a time zone
OPEN = (State.PLANNING, State.SENDING, State.PAUSED)


def start(campaign: Campaign, *, due: datetime, now: datetime) -> Run | None:
    """The run of a due time, in the caller's transaction; None when somebody made it before.

    A run later than the campaign allows is missed: it waits for a human, who may still start it.
    """
    late = now - due > allowed_lateness(campaign)
    state = State.MISSED if late else State.PLANNING
    run, made = Run.objects.get_or_create(
        campaign=campaign, scheduled_for=due, defaults={"state": state}
    )
    if made and state == State.PLANNING:
        _begin_planning(run, now=now)
    return run if made else None


def _begin_planning(run: Run, *, now: datetime) -> None:
    one = run.campaign
    planning.begin(run.pk, channel=one.channel, topic=one.topic, priority=one.priority, now=now)


def open_for_occasions(campaign: Campaign, *, now: datetime) -> Run:
    """The one run of a campaign that servers or events send; it ends with the campaign."""
    run = Run.objects.create(
        campaign=campaign, scheduled_for=now, state=State.SENDING, planned_at=now
    )
    if campaign.per_minute:
        rates.set_rate(rates.run_scope(run.pk), per_minute=campaign.per_minute)
    return run


def allowed_lateness(campaign: Campaign) -> timedelta:
    """In local time a run goes on until the day has begun everywhere."""
    extra = schedule.ZONES_APART if campaign.in_local_time else timedelta(0)
    return campaign.max_lateness + extra


def start_due(now: datetime) -> list[int]:
    """Start the runs whose time has come; their ids. Two schedulers at once start each once."""
    started = []
    due = Campaign.objects.filter(state=Campaign.State.ACTIVE, next_due__lte=now)
    for campaign_id in due.order_by("next_due").values_list("pk", flat=True)[:100]:
        try:
            run = _start_due(campaign_id, now=now)
        except UNREADABLE:  # one broken schedule must not stop the others
            logger.exception("campaign not started", extra={"campaign_id": campaign_id})
            continue
        if run is not None and run.state == State.PLANNING:
            started.append(run.pk)
    return started


@transaction.atomic
def _start_due(campaign_id: int, *, now: datetime) -> Run | None:
    campaign = (
        Campaign.objects.filter(state=Campaign.State.ACTIVE, next_due__lte=now, pk=campaign_id)
        .select_for_update(of=("self",), skip_locked=True)
        .first()
    )
    # None: another scheduler has it, or had it.
    return _start_next(campaign, now=now) if campaign else None


def health(now: datetime) -> dict[str, float | int]:
    """How far the oldest due campaign is past its time, and how many wait for their start.

    A second at most while scheduler and worker live; neither leaves any other trace when it hangs.
    """
    due = Campaign.objects.filter(state=Campaign.State.ACTIVE, next_due__lte=now)
    found = due.aggregate(oldest=Min("next_due"), depth=Count("pk"))
    return {
        "oldest_seconds": (now - (found["oldest"] or now)).total_seconds(),
        "depth": found["depth"],
    }


def _start_next(campaign: Campaign, *, now: datetime) -> Run | None:
    due = schedule.find_due(campaign, now=now) or campaign.next_due or now
    run = start(campaign, due=due, now=now)
    failpoints.reach("C18")
    campaign.next_due = schedule.find_next(campaign, after=now)
    campaign.save(update_fields=["next_due"])
    return run


@transaction.atomic
def start_missed(run: Run, *, now: datetime) -> None:
    """A human decided: send it although it is late. Its messages live from now on."""
    campaign = Campaign.objects.select_for_update(of=("self",)).get(pk=run.campaign_id)
    row = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if row.state != State.MISSED:
        raise IllegalMove(f"the run of {row} is {row.state}, not missed")
    if campaign.state != Campaign.State.ACTIVE:
        raise IllegalMove(f"“{campaign}” is {campaign.state}; its runs cannot be started")
    row.state = State.PLANNING
    row.save(update_fields=["state"])
    _begin_planning(row, now=now)
    run.refresh_from_db()


def list_planning() -> list[int]:
    return list(
        Run.objects.filter(state=State.PLANNING).order_by("pk").values_list("pk", flat=True)
    )


def reopen(now: datetime) -> int:
    """Runs that were finished and have something planned again, by hand: they go on, and whoever
    pauses, cancels or watches runs finds them. Those that wait for occasions never end by that.
    """
    sent_again = Run.objects.filter(
        pk__in=outbox.list_planned_runs("webhook"), state=State.FINISHED
    ).exclude(campaign__schedule__in=Campaign.ON_OCCASION)
    reopened = 0
    for run_id, campaign_id in sent_again.values_list("pk", "campaign_id"):
        with transaction.atomic():
            # Whoever pauses or cancels locks in this order.
            campaign = Campaign.objects.select_for_update(of=("self",)).get(pk=campaign_id)
            run = Run.objects.select_for_update(of=("self",)).get(pk=run_id)
            if run.state != State.FINISHED:
                continue
            run.state, run.finished_at, run.watched_from = State.SENDING, None, now
            run.save(update_fields=["state", "finished_at", "watched_from"])
            if campaign.state == Campaign.State.FINISHED:
                campaign.state = Campaign.State.ACTIVE
                campaign.save(update_fields=["state", "updated_at"])
            reopened += 1
    return reopened


def finish_done(now: datetime) -> int:
    """Close the runs that are fully planned and have nothing open, and campaigns with no more."""
    finished = 0
    sending = Run.objects.filter(state=State.SENDING)
    # What happened before the end may still be on its way from the collector.
    living = Q(campaign__ends_at=None) | Q(campaign__ends_at__gt=now - AFTER_THE_END)
    ending = sending.exclude(living, campaign__schedule__in=Campaign.ON_OCCASION)
    for run_id in ending.values_list("pk", flat=True):
        with transaction.atomic():
            run = (
                Run.objects.select_for_update(of=("self",), skip_locked=True)
                .select_related("campaign")
                .filter(pk=run_id, state=State.SENDING)
                .first()
            )
            if run is None or _has_open(run_id):
                continue
            # In this order: a late answer may have planned a message again meanwhile.
            if not outbox.settle_unknown(run_id) or _has_open(run_id):
                continue
            run.state, run.finished_at = State.FINISHED, now
            run.save(update_fields=["state", "finished_at"])
            finished += 1
    _finish_campaigns(now)
    return finished


def _has_open(run_id: int) -> bool:
    return Message.objects.filter(run_id=run_id, state__in=Message.OPEN).exists()


def _finish_campaigns(now: datetime) -> None:
    """Campaigns whose last run is over. A missed one keeps its campaign open for a human."""
    waiting = [*OPEN, State.MISSED]
    scheduled = Campaign.objects.filter(state=Campaign.State.ACTIVE, next_due__isnull=True)
    over = scheduled.exclude(schedule=Campaign.Schedule.LAUNCH).exclude(
        pk__in=Run.objects.filter(state__in=waiting).values("campaign_id")
    )
    ended = Campaign.objects.filter(
        state=Campaign.State.ACTIVE, schedule=Campaign.Schedule.LAUNCH, ends_at__lte=now
    )
    for campaigns in (over, ended):
        campaigns.update(state=Campaign.State.FINISHED, updated_at=now)


def lock_open(campaign: Campaign) -> Iterable[Run]:
    """The campaign's runs that plan or send, locked against their planners."""
    return list(campaign.runs.select_for_update(of=("self",)).filter(state__in=OPEN))


def cancel_all(campaign: Campaign, *, now: datetime) -> None:
    """Those that were missed, too: nothing is left to start."""
    unfinished = campaign.runs.filter(state__in=[*OPEN, State.MISSED])
    for run in unfinished.select_for_update(of=("self",)):
        outbox.cancel_run(run.pk, now)
        planning.end(run.pk)
        run.finished_at = now
        run.save(update_fields=["finished_at"])
        _move(run, State.CANCELLED)


def pause(run: Run, *, reason: str = "") -> None:
    outbox.hold_run(run.pk, state=RunHold.State.PAUSED)
    run.stopped_because = reason[:200]
    run.save(update_fields=["stopped_because"])
    _move(run, State.PAUSED)


def resume(run: Run, *, now: datetime) -> None:
    """Whoever resumes has seen what stopped it."""
    outbox.free_run(run.pk)
    run.stopped_because, run.watched_from, run.oversize_allowed = "", now, True
    run.save(update_fields=["stopped_because", "watched_from", "oversize_allowed"])
    _move(run, State.PLANNING if run.planned_at is None else State.SENDING)


def _move(run: Run, state: Run.State) -> None:
    run.state = state
    run.save(update_fields=["state"])
