"""What a server or an event asked for reaches its person, whoever they became meanwhile.

A merge closes no such message: the mark plans it again (`policy.VERDICT`), and whoever
claims it next closes it here as merged and plans it for the survivor, in one transaction. So the
row itself says what is left to do, and no sweep has to look for it. A message that was called
already is not in a claim, and is not touched.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from campaigns import occasions
from campaigns.fanout import by_other_channel_once
from campaigns.models import Occasion, Run
from campaigns.runs import OPEN
from delivery import marking, outbox
from delivery.controls import SILENT
from delivery.models import Message, SendAttempt
from delivery.outbox import Planned
from delivery.policy import MERGED, ON_OCCASION, Drop
from engage.lib.clock import to_millis
from engage.lib.ids import digest16, uuid7
from engage.profiles.models import Profile


def move_on(messages: Sequence[Message], *, now: datetime) -> set[UUID]:
    """Plan the claimed messages of merged people for the survivors; which ones that were.

    To be asked after composing: who is not merged by then was composed as the person they are,
    and of a later merge the mark knows. Safe to run twice: what was moved is no longer leased.
    """
    asked = [message for message in messages if message.kind in ON_OCCASION]
    if not asked:
        return set()
    people = Profile.objects.filter(pk__in={message.profile_id for message in asked})
    merged = set(people.exclude(merged_into=None).values_list("pk", flat=True))
    moved = [message for message in asked if message.profile_id in merged]
    for message in moved:
        _move(message, now=now)
    return {message.id for message in moved}


@transaction.atomic
def _move(message: Message, *, now: datetime) -> None:
    # One wish after another, as when they are asked for: two devices of a push see each other.
    assert message.run_id is not None  # noqa: S101 - they have one
    assert message.lease_token is not None  # noqa: S101 - the claim gave it
    runs = Run.objects.select_for_update(of=("self",)).filter(pk=message.run_id, state__in=OPEN)
    run = runs.first()
    closed = marking.drop([message], [Drop(MERGED)], token=message.lease_token, now=now)
    if not closed or run is None or _may_be_there(message):
        return
    family = occasions.list_family([message.profile_id])
    wishes = Occasion.objects.filter(profile_id__in=family)
    wish = wishes.filter(message_ids__contains=[message.id]).first()
    if wish is None or not occasions.is_here(family[0]):
        return  # erased
    same = wishes.filter(id=wish.id, properties=wish.properties)
    planned = _messages(message, wish, list(same), family=family, now=now)
    outbox.plan(planned)
    ids = [*wish.message_ids, *(one.id for one in planned)]
    Occasion.objects.filter(pk=wish.pk).update(message_ids=ids)
    Run.objects.filter(pk=run.pk).update(planned=F("planned") + len(planned))


def _may_be_there(message: Message) -> bool:
    """Whoever did not answer may have it already; only a webhook's goes on under its own key."""
    return (
        message.channel != "webhook"
        and message.attempt > 0
        and SendAttempt.objects.filter(message_id=message.id, outcome="unknown").exists()
    )


def _messages(
    message: Message,
    wish: Occasion,
    same: Sequence[Occasion],
    *,
    family: Sequence[int],
    now: datetime,
) -> list[Planned]:
    """For each device of the survivor that has none of this wish, whoever it was asked for."""
    ids = [message_id for one in same for message_id in one.message_ids]
    others = Message.objects.filter(profile_id__in=family, id__in=ids)
    reached = list(others.exclude(state=Message.State.SUPPRESSED, reason=MERGED))
    covered = {message.address_id for message in reached}
    silent = any(message.quiet in SILENT for message in reached)
    survivor = family[0]
    addresses = occasions.list_address_ids(message.channel, survivor)
    planned = Planned(*(getattr(message, name) for name in Planned._fields))
    rows = (
        planned._replace(
            profile_id=survivor,
            id=uuid7(to_millis(now)),
            key=_key(message, wish, survivor, address_id),
            address_id=address_id,
            not_before=now,
            created_at=now,
        )
        for address_id in addresses
        if address_id not in covered
    )
    return list(by_other_channel_once(rows, done=silent))


def _key(message: Message, wish: Occasion, survivor: int, address_id: str) -> UUID:
    """A webhook's stays: its receiver may have it already, and takes it once by this key."""
    if message.channel == "webhook":
        return message.key
    parts = (str(wish.id), str(wish.profile_id), str(survivor), message.channel, address_id)
    return digest16("moved on", *parts)
