"""Campaigns that an event sends: what somebody does becomes a message to them, once.

The event leaves a notice in the transaction that stores it (`engage.profiles.notices`). Here the
notices are taken in their order; the messages and how far was read commit together.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from campaigns import occasions, timing
from campaigns.errors import InvalidRule, Problem
from campaigns.experiments import choose_variant, is_held_out
from campaigns.fanout import by_other_channel_once, new_message
from campaigns.models import Campaign, ControlMember, Occasion, Run
from campaigns.segments import reach, rules
from campaigns.segments.match import EventFact, Facts, matches
from delivery import controls, outbox, replay
from delivery.models import Message
from delivery.policy import TEST, TO_DEVICES, TRIGGERED
from engage.lib import locks
from engage.lib.ids import digest16
from engage.profiles import devices, notices, people, terms
from engage.profiles.notices import Heard

logger = logging.getLogger(__name__)

CONSUMER: Final = "triggers"
UNREADABLE: Final = (InvalidRule, ValueError, TypeError, LookupError, ArithmeticError)
FIRST_LIMIT: Final = 50  # notices of the first transaction of a task, and of the largest
LIMIT: Final = 1_000
LONGEST_WAIT: Final = timedelta(days=30)
KEPT: Final = timedelta(days=1)  # what the message says of the event, after its end
# Whoever they are now. As in `transactional`: the row first, then the journal of the erased.
OWNERS: Final = """
SELECT was.id, p.id FROM profiles_profile was
JOIN profiles_profile p ON p.id = coalesce(was.merged_into, was.id)
WHERE was.id = ANY(%s) ORDER BY p.id FOR KEY SHARE OF p
"""
ERASED: Final = "SELECT profile_id FROM profiles_erasure WHERE profile_id = ANY(%s)"
# The last occasion of each, and of whoever they were before a merge.
LATEST: Final = """
SELECT coalesce(p.merged_into, p.id), max(s.created_at) FROM profiles_profile p
JOIN campaigns_occasion s ON s.profile_id = p.id AND s.campaign_id = %s
WHERE p.id = ANY(%s) OR p.merged_into = ANY(%s) GROUP BY 1
"""
# Whoever did it meanwhile, as whom they were known then.
DONE: Final = """
SELECT s.id FROM unnest(%s::bigint[], %s::uuid[]) AS asked (profile_id, id)
CROSS JOIN LATERAL (
  SELECT array_agg(p.id) || asked.profile_id AS ids FROM profiles_profile p
  WHERE p.merged_into = asked.profile_id) family
JOIN campaigns_occasion s ON s.profile_id = ANY(family.ids) AND s.id = asked.id
WHERE EXISTS (
  SELECT 1 FROM profiles_event e
  WHERE e.profile_id = ANY(family.ids) AND e.ts > s.created_at AND e.name = %s)
"""
EXAMPLE: Final = """
SELECT properties::text FROM profiles_event WHERE profile_id = ANY(%s) AND name = %s
ORDER BY ts DESC LIMIT 1
"""


class Taken(NamedTuple):
    heard: int
    planned: int  # messages
    more: bool  # others may be waiting
    broken: Mapping[int, str]  # campaigns that could not be understood, and why


class Deed(NamedTuple):
    """Somebody did what the campaign waits for."""

    person: int
    at: datetime
    heard: Heard


def take(*, now: datetime, limit: int = LIMIT) -> Taken:
    """Plan the messages of the next `limit` notices. Safe to run twice and by two at once.

    A campaign that cannot be understood any more, because its segment was changed, must not stop
    the others; the caller sees to it.
    """
    planned, broken = 0, {}
    with notices.read(CONSUMER, limit=limit) as heard:
        # Asked for after the notices: whoever launched before one of them was stored is there.
        waiting = _list_waiting({one.name for one in heard})
        owners = _list_owners(heard) if waiting else {}
        for campaign in waiting:
            try:
                with transaction.atomic():
                    deeds = list(_list_deeds(campaign, heard, owners))
                    planned += _plan(campaign, deeds, now=now) if deeds else 0
            except UNREADABLE as exc:
                logger.exception("events not taken", extra={"campaign_id": campaign.pk})
                broken[campaign.pk] = f"events cannot send it: {exc}"
    return Taken(len(heard), planned, len(heard) == limit, broken)


def watch() -> None:
    """Hear of the events that live campaigns wait for, from the caller's commit on."""
    with connection.cursor() as cursor:
        locks.hold(cursor, "campaigns: watched events")
        alive = Campaign.objects.filter(
            schedule=Campaign.Schedule.EVENT,
            state__in=[Campaign.State.ACTIVE, Campaign.State.PAUSED],
        )
        notices.watch(cursor, CONSUMER, set(alive.values_list("on_event", flat=True)))


def check(campaign: Campaign) -> Iterator[Problem]:
    """What is wrong with what the campaign waits for, as sentences."""
    if not campaign.on_event.strip():
        yield Problem("on_event", "is missing: say what somebody has to do, such as Cart Viewed")
    elif campaign.on_event != campaign.on_event.strip():
        yield Problem("on_event", "begins or ends with a blank")
    try:
        _rule_of(campaign)
    except InvalidRule as exc:
        yield from (Problem(f"on_{p.path}", p.message) for p in exc.problems)
    if not timedelta(0) <= campaign.on_wait <= LONGEST_WAIT:
        yield Problem("on_wait", f"from 0 hours to {LONGEST_WAIT.days} days")
    if campaign.unless_event and not campaign.on_wait:
        yield Problem("unless_event", "needs a wait: nothing is done meanwhile in no time")
    if campaign.again_after < timedelta(0):
        yield Problem("again_after", "0 hours or more")


def doubt(campaign: Campaign) -> Iterator[str]:
    """Names of events that nobody did so far: a slip, perhaps, and then it waits for ever."""
    known = terms.list_events()
    for name in filter(None, (campaign.on_event, campaign.unless_event)):
        if name not in known:
            like = get_close_matches(name, known, n=1)
            yield f"Nobody did “{name}” so far" + (f": is it “{like[0]}”?" if like else ".")


def list_done(messages: Sequence[Message], *, event: str) -> set[UUID]:
    """The messages whose people did this after what sent them; asked as they are composed."""
    asked = [message for message in messages if message.occasion is not None]
    if not asked or not event:
        return set()
    who, sent_by = zip(*((one.profile_id, one.occasion) for one in asked), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(DONE, [list(who), list(map(str, sent_by)), event])
        done = {row[0] for row in cursor.fetchall()}
    return {message.id for message in asked if message.occasion in done}


def list_examples(messages: Sequence[Message], *, event: str) -> dict[UUID, Mapping[str, Any]]:
    """For tests: what their people did the last time they did it."""
    asked = [message for message in messages if message.kind == TEST and event]
    examples = {}
    for message in asked:
        with connection.cursor() as cursor:
            cursor.execute(EXAMPLE, [occasions.list_family([message.profile_id]), event])
            for (text,) in cursor.fetchall():
                examples[message.id] = json.loads(text)
    return examples


def _rule_of(campaign: Campaign) -> rules.Rule:
    return rules.parse({"did": campaign.on_event or "-", "where": campaign.on_where})


def _list_waiting(names: Iterable[str]) -> list[Campaign]:
    found = Campaign.objects.filter(
        schedule=Campaign.Schedule.EVENT, state=Campaign.State.ACTIVE, on_event__in=names
    )
    return list(found.select_related("segment").order_by("pk"))


def _list_owners(heard: Sequence[Heard]) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(OWNERS, [list({one.profile_id for one in heard})])
        owners = dict(cursor.fetchall())
        cursor.execute(ERASED, [list(owners.values())])
        erased = {row[0] for row in cursor.fetchall()}
    return {was: owner for was, owner in owners.items() if owner not in erased}


def _list_deeds(
    campaign: Campaign, heard: Sequence[Heard], owners: Mapping[int, int]
) -> Iterator[Deed]:
    """By the event alone. What came in later than the campaign allows is history."""
    rule = _rule_of(campaign)
    for one in heard:
        at = min(one.ts, one.stored_at)  # no clock of a phone makes it wait for the future
        if (
            one.name != campaign.on_event
            or one.profile_id not in owners
            or one.stored_at - at > campaign.max_lateness
            or (campaign.launched_at is not None and at < campaign.launched_at)
            or (campaign.ends_at is not None and at > campaign.ends_at)
        ):
            continue
        if matches(rule, Facts({}, [EventFact(one.name, at, one.properties)]), now=at):
            yield Deed(owners[one.profile_id], at, one)


def _plan(campaign: Campaign, deeds: Sequence[Deed], *, now: datetime) -> int:
    # Locked: a pause or an end that committed before is seen, and a later one finds the messages.
    run = campaign.runs.select_for_update(of=("self",)).filter(state=Run.State.SENDING).first()
    if run is None:
        return 0
    wanted = _without_repeated(campaign, _members(campaign, deeds, now=now))
    held = {
        one.person
        for one in wanted
        if is_held_out(campaign.pk, person=one.person, percent=campaign.control_percent)
    }
    newly = held - set(
        ControlMember.objects.filter(run=run, profile_id__in=held).values_list(
            "profile_id", flat=True
        )
    )
    ControlMember.objects.bulk_create(ControlMember(profile_id=p, run=run) for p in newly)
    treated = [one for one in wanted if one.person not in held]
    planned = _write(campaign, run, treated, now=now)
    Run.objects.filter(pk=run.pk).update(
        audience=F("audience") + len(treated) + len(newly),
        held_out=F("held_out") + len(newly),
        planned=F("planned") + planned,
    )
    return planned


def _members(campaign: Campaign, deeds: Sequence[Deed], *, now: datetime) -> list[Deed]:
    """Of the campaign's segment, as it is a moment after the event was stored."""
    if campaign.segment is None:
        return list(deeds)
    rule = rules.parse(campaign.segment.rule)
    asked = {one.person for one in deeds}
    members = set(reach.list_members(rule, now=now, among=sorted(asked)))
    return [one for one in deeds if one.person in members]


def _without_repeated(campaign: Campaign, deeds: Sequence[Deed]) -> list[Deed]:
    """Of what comes again sooner than the campaign allows, the first."""
    if not campaign.again_after:
        return list(deeds)
    who = list({one.person for one in deeds})
    with connection.cursor() as cursor:
        cursor.execute(LATEST, [campaign.pk, who, who])
        latest: dict[int, datetime] = dict(cursor.fetchall())
    wanted = []
    for one in sorted(deeds, key=lambda one: (one.at, one.heard.id)):
        before = latest.get(one.person)
        if before is None or one.at >= before + campaign.again_after:
            latest[one.person] = one.at
            wanted.append(one)
    return wanted


def _write(campaign: Campaign, run: Run, deeds: Sequence[Deed], *, now: datetime) -> int:
    who = [one.person for one in deeds]
    variants = list(campaign.variants.order_by("pk"))
    tokens: devices.Tokens = {}
    if campaign.channel in TO_DEVICES:
        tokens = devices.push_tokens(who, web=campaign.channel == "web_push")
    zones = people.list_zones(who) if campaign.cut_off else {}
    messages, kept = [], []
    for one in deeds:
        occasion = digest16("event send", str(campaign.pk), str(one.heard.id))
        zone = controls.find_zone(zones.get(one.person), default=settings.PEOPLE_TIME_ZONE)
        due = one.at + campaign.on_wait
        times = timing.after(campaign, due, begins=due, zone=zone)
        # Somebody without a device gets a row too: the door says why not.
        device_ids = [device for device, *_ in tokens.get(one.person, [])] or [""]
        rows = (
            new_message(
                campaign,
                choose_variant(variants, person=one.person),
                profile_id=one.person,
                run=run,
                address_id=device_id,
                kind=TRIGGERED,
                occasion=occasion,
                times=times,
                now=now,
            )
            for device_id in device_ids
        )
        own = list(by_other_channel_once(rows))
        messages += own
        kept.append(
            Occasion(
                profile_id=one.person,
                id=occasion,
                campaign_id=campaign.pk,
                message_ids=[message.id for message in own],
                properties=one.heard.properties,
                created_at=one.at,
                kept_until=max(
                    times.expires_at + max(KEPT, replay.kept_for(campaign.channel)),
                    one.at + campaign.again_after,
                ),
            )
        )
    Occasion.objects.bulk_create(kept)
    return outbox.plan(messages)
