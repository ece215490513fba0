"""Messages that a server asks for, one person at a time: an order's confirmation, a new password.

A campaign that is sent this way has one run, from its launch to its end: pausing, cancelling,
rates and rails hold for it as for any other, and so does the one door out.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F

from campaigns import occasions, timing
from campaigns.errors import IllegalMove, KeyReused
from campaigns.experiments import choose_variant
from campaigns.fanout import new_message
from campaigns.models import Campaign, Occasion, Run
from delivery import outbox, replay
from delivery.models import Message
from delivery.policy import TRANSACTIONAL
from engage.collector.careful import Unstorable, refuse_texts
from engage.lib.errors import InvalidInput, NotFound
from engage.lib.ids import digest16

LONGEST_KEY: Final = 200
MOST_BYTES: Final = 32_768  # of the properties, as JSON
REPEATED: Final = timedelta(days=30)  # so long a repeated wish is known


class Asked(NamedTuple):
    messages: Sequence[Message]  # one; of a push, one for each device
    repeated: bool


@transaction.atomic
def ask(
    campaign_id: int, profile_id: int, *, key: str, properties: Mapping[str, Any], now: datetime
) -> Asked:
    """Plan the message; a sender takes it like any other. Safe to repeat with the same `key`.

    Raises
    ------
    InvalidInput, NotFound
        The key or the properties cannot be used; there is no such campaign or person.
    IllegalMove
        The campaign is sent otherwise, or not now.
    KeyReused
        The key came before, for this person and with other properties.
    """
    check(key, properties)
    campaign = Campaign.objects.filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound(f"There is no campaign {campaign_id}.")
    if campaign.schedule != Campaign.Schedule.API:
        raise IllegalMove(f"“{campaign}” is not sent when a server asks.")
    # One wish after another: of two equal ones at once, the second finds the first.
    run = campaign.runs.select_for_update(of=("self",)).filter(state=Run.State.SENDING).first()
    if run is None:
        raise IllegalMove(f"“{campaign}” is {campaign.state}: nothing of it is sent.")
    wish = digest16("server send", str(campaign.pk), key)
    family = occasions.list_family([profile_id])
    before = list(Occasion.objects.filter(profile_id__in=family, id=wish))
    # Two people who became one may both have been asked for, and of different things.
    same = [one for one in before if one.properties == properties]
    if same:
        ids = [message_id for one in same for message_id in one.message_ids]
        return Asked(_rows(family, ids), repeated=True)
    if before:
        raise KeyReused(f"The key {key!r} came before, with other properties.")
    if not family or not occasions.is_here(profile_id := family[0]):
        raise NotFound(f"There is no profile {profile_id}.")
    planned = _messages(campaign, run, profile_id, wish=wish, now=now)
    if outbox.plan(planned) < len(planned):
        raise RuntimeError(f"campaign {campaign_id}: messages of a new wish are there already")
    ids = [message.id for message in planned]
    Occasion.objects.create(
        profile_id=profile_id,
        id=wish,
        message_ids=ids,
        properties=properties,
        created_at=now,
        kept_until=now
        + max(REPEATED, timing.useful_for(campaign), replay.kept_for(campaign.channel)),
    )
    Run.objects.filter(pk=run.pk).update(
        audience=F("audience") + 1, planned=F("planned") + len(planned)
    )
    return Asked(_rows([profile_id], ids), repeated=False)


def _rows(people: Sequence[int], ids: Sequence[UUID]) -> list[Message]:
    return list(Message.objects.filter(profile_id__in=people, id__in=ids).order_by("id"))


def check(key: str, properties: Mapping[str, Any]) -> None:
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidInput(f"key: expected 1 to {LONGEST_KEY} characters, such as order-17")
    try:
        refuse_texts([key, properties])
        size = len(json.dumps(properties, allow_nan=False))
    except Unstorable as exc:
        raise InvalidInput("key, properties: no text has a NUL or half a character in it") from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidInput("properties: NaN, infinity or too many levels in each other") from exc
    if size > MOST_BYTES:
        raise InvalidInput(f"properties: {size:,} bytes as JSON; at most {MOST_BYTES:,} are kept")


def _messages(
    campaign: Campaign, run: Run, profile_id: int, *, wish: UUID, now: datetime
) -> list[outbox.Planned]:
    variant = choose_variant(list(campaign.variants.order_by("pk")), person=profile_id)
    return [
        new_message(
            campaign,
            variant,
            profile_id=profile_id,
            run=run,
            address_id=address_id,
            kind=TRANSACTIONAL,
            # The occasion alone knows a repeated wish, and for how long. Forgotten, the same
            # key is a new wish, and the messages of the former one must not stand in its way.
            once=f"{wish} {now.isoformat()}",
            now=now,
        )
        for address_id in occasions.list_address_ids(campaign.channel, profile_id)
    ]
