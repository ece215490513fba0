"""The states of a campaign and the legal moves between them: draft → active ⇄ paused → the end."""

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction

from campaigns import runs, schedule, slot_checks, templates, triggers
from campaigns.errors import IllegalMove, InvalidRule, NotReady, Problem
from campaigns.models import Campaign, Run, Template, Variant
from campaigns.models.template import Channel
from campaigns.segments import rules
from delivery.channels.mime import find_sender_address
from delivery.controls import SILENT

State = Campaign.State


@transaction.atomic
def launch(campaign: Campaign, *, now: datetime) -> Run | None:
    """Make a draft active; one that is sent now gets its run. A second click changes nothing.

    Raises `NotReady` with everything that is missing, and `IllegalMove` from a state that is over.
    """
    row = _locked(campaign)
    if row.state == State.ACTIVE:
        _refresh(campaign)
        return row.runs.order_by("scheduled_for").last()
    if row.state != State.DRAFT:
        raise IllegalMove(f"“{row}” is {row.state}; only a draft can be launched")
    problems = list(check(row, now=now))
    if problems:
        raise NotReady(problems)
    row.state, row.launched_at = State.ACTIVE, now
    if row.schedule == Campaign.Schedule.AT:
        row.next_due = schedule.first_due(row)
    elif row.schedule == Campaign.Schedule.RECURRING:
        row.next_due = schedule.find_next(row, after=now)
    row.save(update_fields=["state", "launched_at", "next_due", "updated_at"])
    run = None
    if row.schedule == Campaign.Schedule.NOW:
        run = runs.start(row, due=now, now=now)
    elif row.schedule in Campaign.ON_OCCASION:
        run = runs.open_for_occasions(row, now=now)
    if row.schedule == Campaign.Schedule.EVENT:
        triggers.watch()
    _refresh(campaign)
    return run


@transaction.atomic
def pause(campaign: Campaign, *, now: datetime, reason: str = "") -> None:
    """Nothing is sent after this commits, but what a sender had already marked.

    `reason`: why it stops by itself, for a human to see.
    """
    row = _locked(campaign)
    _require(row, State.ACTIVE, to="paused")
    _move(row, State.PAUSED)
    for run in runs.lock_open(row):
        runs.pause(run, reason=reason)
    _refresh(campaign)


@transaction.atomic
def resume(campaign: Campaign, *, now: datetime) -> None:
    row = _locked(campaign)
    _require(row, State.PAUSED, to="resumed")
    _move(row, State.ACTIVE)
    for run in runs.lock_open(row):
        runs.resume(run, now=now)
    _refresh(campaign)


@transaction.atomic
def cancel(campaign: Campaign, *, now: datetime) -> None:
    """What was not sent never will be; the figures stay."""
    row = _locked(campaign)
    _require(row, State.DRAFT, State.ACTIVE, State.PAUSED, to="cancelled")
    _move(row, State.CANCELLED)
    runs.cancel_all(row, now=now)
    if row.schedule == Campaign.Schedule.EVENT:
        triggers.watch()
    _refresh(campaign)


@transaction.atomic
def duplicate(campaign: Campaign) -> Campaign:
    """A draft with the same wording, audience and schedule, and no history."""
    _locked(campaign)  # two clicks at once look for a free name one after the other
    variants = list(campaign.variants.order_by("pk"))
    copy = Campaign.objects.get(pk=campaign.pk)
    copy.pk = None
    copy.name = _free_name(campaign.name)
    copy.state, copy.launched_at, copy.next_due = State.DRAFT, None, None
    copy.save(force_insert=True)
    Variant.objects.bulk_create(
        Variant(campaign=copy, template_id=one.template_id, name=one.name, weight=one.weight)
        for one in variants
    )
    return copy


def check(campaign: Campaign, *, now: datetime) -> Iterator[Problem]:
    """What must be mended before a launch."""
    in_app = campaign.channel == "in_app"
    if in_app != (campaign.schedule == Campaign.Schedule.LAUNCH):
        yield Problem("schedule", "in-app campaigns, and only they, show when the app opens")
    yield from schedule.check(campaign)
    yield from _check_moment(campaign, now)
    if campaign.schedule in Campaign.ON_OCCASION:
        yield from _check_idle(campaign)
    if campaign.schedule == Campaign.Schedule.EVENT:
        yield from triggers.check(campaign)
    if campaign.in_local_time and campaign.schedule not in schedule.TIMED:
        yield Problem("in_local_time", "needs a time of the day: send it once, or again and again")
    if sends_mail(campaign) and find_sender_address(campaign.sender) is None:
        said = "is not an address" if campaign.sender.strip() else "is missing"
        yield Problem("sender", f"{said}; such as Shop <news@shop.example>")
    if campaign.channel == "webhook":
        yield from _check_endpoint(campaign)
    if campaign.segment is not None:
        try:
            rules.parse(campaign.segment.rule)
        except InvalidRule as exc:
            yield from (Problem(f"segment {p.path}", p.message) for p in exc.problems)
    if not in_app:
        yield from check_other_channel(campaign)
    variants = list(campaign.variants.select_related("template"))
    if not variants:
        yield Problem("variants", "there is none: say which template to send")
    for variant in variants:
        if variant.template.channel != campaign.channel:
            yield Problem(
                f"variant {variant.name}",
                f"its template is for {variant.template.channel}, not {campaign.channel}",
            )
            continue
        yield from _check_template(variant.template)
    if not in_app and campaign.quiet in SILENT and campaign.quiet_template is not None:
        yield from _check_template(campaign.quiet_template)


def sends_mail(campaign: Campaign) -> bool:
    """By its channel, or in quiet hours."""
    in_quiet_hours = campaign.quiet == "email" and campaign.channel != "in_app"
    return campaign.channel == "email" or in_quiet_hours


def _check_template(template: Template) -> Iterator[Problem]:
    for problem in [*templates.lint(template).problems, *slot_checks.check_catalogs(template)]:
        yield Problem(f"template {template}: {problem.path}", problem.message)


def check_other_channel(campaign: Campaign) -> Iterator[Problem]:
    """By what it goes in quiet hours, where it goes by another channel then."""
    if campaign.quiet not in SILENT:
        return
    template, other = campaign.quiet_template, Channel(campaign.quiet)
    if campaign.quiet == campaign.channel:
        yield Problem("quiet", "is the channel that it goes by anyway")
    elif template is None:
        yield Problem("quiet_template", f"is missing: say what goes by {other.label} instead")
    elif template.channel != other:
        own = template.get_channel_display()
        yield Problem("quiet_template", f"“{template}” is for {own}, not for {other.label}")


def _check_idle(campaign: Campaign) -> Iterator[Problem]:
    """Sent to one person at a time: by your server to whom it names, at once."""
    for name in ("spread", "first_part_wait", "most_people"):
        if getattr(campaign, name):
            yield Problem(name, "means nothing here: it goes to one person at a time")
    if campaign.schedule == Campaign.Schedule.EVENT:
        return
    for name in ("segment", "control_percent", "cut_off"):
        if getattr(campaign, name):
            yield Problem(name, "means nothing here: your server says who gets it, and when")


def _check_endpoint(campaign: Campaign) -> Iterator[Problem]:
    if campaign.endpoint is None:
        yield Problem("endpoint", "is missing: say where the messages go")
    elif campaign.endpoint.disabled_at is not None:
        yield Problem("endpoint", f"“{campaign.endpoint}” is disabled: {campaign.endpoint.reason}")


def _check_moment(campaign: Campaign, now: datetime) -> Iterator[Problem]:
    once = campaign.schedule == Campaign.Schedule.AT
    due = schedule.first_due(campaign) if once else None
    if due is not None and due < now - runs.allowed_lateness(campaign):
        yield Problem("starts_at", "is past")
    if campaign.ends_at and campaign.ends_at <= now:
        yield Problem("ends_at", "is past")
    if (
        campaign.schedule == Campaign.Schedule.RECURRING
        and not list(schedule.check(campaign))
        and schedule.find_next(campaign, after=now) is None
    ):
        yield Problem("recurrence", "has no time to come")


def _locked(campaign: Campaign) -> Campaign:
    return Campaign.objects.select_for_update(of=("self",)).get(pk=campaign.pk)


def _require(campaign: Campaign, *states: Campaign.State, to: str) -> None:
    if campaign.state not in states:
        raise IllegalMove(f"“{campaign}” is {campaign.state} and cannot be {to}")


def _move(campaign: Campaign, state: Campaign.State) -> None:
    campaign.state = state
    campaign.save(update_fields=["state", "updated_at"])


def _refresh(campaign: Campaign) -> None:
    campaign.refresh_from_db()


def _free_name(name: str) -> str:
    base = f"Copy of {name}"[:90]
    taken = set(Campaign.objects.filter(name__startswith=base).values_list("name", flat=True))
    number = 1
    while (candidate := base if number == 1 else f"{base} ({number})") in taken:
        number += 1
    return candidate
