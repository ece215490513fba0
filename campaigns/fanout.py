"""From a run to its message rows, chunk by chunk. The cursor moves in the chunk's transaction."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from campaigns import audience, rails, timing
from campaigns.experiments import choose_variant, is_held_out
from campaigns.models import Campaign, ControlMember, Run, Variant
from campaigns.timing import Times
from delivery import outbox, planning, rates
from delivery.controls import SILENT
from delivery.outbox import Planned
from delivery.policy import TO_DEVICES
from engage.lib import failpoints, garbage
from engage.lib.clock import to_millis
from engage.lib.ids import digest16, uuid7
from engage.profiles import devices


@garbage.not_collected()
@transaction.atomic
def plan_chunk(run_id: int, *, now: datetime, limit: int) -> bool:
    """Plan the messages of the next `limit` profiles; whether there is more to do.

    Safe to run twice and by two at once: the row is locked, and a message is unique by its key.
    """
    # The campaign, too: rails may stop it below, and who pauses it locks it before its runs.
    run = (
        Run.objects.select_for_update(of=("self", "campaign"), skip_locked=True)
        .select_related("campaign__segment")
        .filter(pk=run_id, state=Run.State.PLANNING)
        .first()
    )
    if run is None:  # paused, cancelled, done, or somebody has it
        return False
    if run.frozen_at is None or run.upto is None:
        run.frozen_at, run.upto = now, audience.newest_profile_id()
        run.rule = audience.current_rule(run.campaign)
    part = audience.next_range(after=run.cursor, end=run.upto, profiles=limit)
    rule = audience.current_rule(run.campaign) if run.rule is None else run.rule
    people = audience.members(rule, part, now=run.frozen_at)
    if run.cursor == 0 and run.campaign.per_minute:
        rates.set_rate(rates.run_scope(run.pk), per_minute=run.campaign.per_minute)
    _plan(run, people, now=now)
    failpoints.reach("C7")
    run.cursor = part.upto
    if part.last:
        run.state, run.planned_at = Run.State.SENDING, now
        planning.end(run.pk)
    else:
        planning.reach(run.pk, profile_id=part.upto)
    run.save()
    if rails.is_oversize(run):
        rails.stop(run, f"{rails.OVERSIZE}: {run.audience:,} so far", now=now)
        return False
    return not part.last


def _plan(run: Run, people: Sequence[int], *, now: datetime) -> None:
    campaign = run.campaign
    held = [
        person
        for person in people
        if is_held_out(campaign.pk, person=person, percent=campaign.control_percent)
    ]
    ControlMember.objects.bulk_create(
        (ControlMember(profile_id=person, run=run) for person in held), ignore_conflicts=True
    )
    out = set(held)
    treated = [person for person in people if person not in out]
    run.audience += len(people)
    run.held_out += len(held)
    run.planned += outbox.plan(list(_messages(run, treated, now=now)))


def _messages(run: Run, people: Sequence[int], *, now: datetime) -> Iterator[Planned]:
    """One message per address. Somebody without one gets a row too: the door says why not."""
    campaign, times = run.campaign, timing.plan(run, people, now=now)
    variants = list(campaign.variants.order_by("pk"))
    tokens: devices.Tokens = {}
    if campaign.channel in TO_DEVICES:
        tokens = devices.push_tokens(people, web=campaign.channel == "web_push")
    place = run.planned
    for person in people:
        variant = choose_variant(variants, person=person)
        planned = times.times(person, place=place)
        device_ids = [device for device, *_ in tokens.get(person, [])] or [""]
        place += len(device_ids)
        yield from by_other_channel_once(
            new_message(
                campaign,
                variant,
                profile_id=person,
                run=run,
                address_id=device_id,
                times=planned,
                now=now,
            )
            for device_id in device_ids
        )


def by_other_channel_once(messages: Iterable[Planned], *, done: bool = False) -> Iterator[Planned]:
    """What one person is told: in quiet hours by the other channel once, not for each device.

    `done`: another message that is not among these goes by it already.
    """
    for message in messages:
        silent = message.quiet in SILENT
        yield message._replace(quiet=Campaign.Quiet.DROP) if silent and done else message
        done = done or silent


def new_message(
    campaign: Campaign,
    variant: Variant,
    *,
    profile_id: int,
    now: datetime,
    run: Run | None = None,
    address_id: str = "",
    kind: str = "campaign",
    once: str = "",
    occasion: UUID | None = None,
    times: Times | None = None,
) -> Planned:
    """A planned message, due at once unless `times` says when. `once` names one of many wishes,
    and so does the `occasion`; without either a person has one message of a run."""
    once = str(occasion) if occasion else once
    origin = f"run {run.pk}" if run and not once else f"{kind} {campaign.pk} {once}"
    times = times or Times(now, now + timing.useful_for(campaign))
    return Planned(
        profile_id=profile_id,
        id=uuid7(to_millis(now)),
        key=digest16(origin, str(profile_id), campaign.channel, address_id),
        kind=kind,
        campaign_id=campaign.pk,
        run_id=run.pk if run else None,
        occasion=occasion,
        variant_id=variant.pk,
        channel=campaign.channel,
        address_id=address_id,
        topic=campaign.topic,
        priority=campaign.priority,
        quiet=campaign.quiet,
        not_before=max(times.not_before, now),
        expires_at=times.expires_at,
        created_at=now,
    )
