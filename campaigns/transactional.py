"""Messages that a server asks for, one person at a time: an order's confirmation, a new password.

A campaign that is sent this way has one run, from its launch to its end: pausing, cancelling,
rates and rails hold for it as for any other, and so does the one door out.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from campaigns.errors import IllegalMove, KeyReused
from campaigns.experiments import choose_variant
from campaigns.fanout import new_message
from campaigns.models import Campaign, Run, ServerSend
from delivery import outbox
from delivery.models import Message
from delivery.policy import TO_DEVICES, TRANSACTIONAL, TRIGGERED
from engage.collector.careful import Unstorable, refuse_texts
from engage.lib.errors import InvalidInput, NotFound
from engage.lib.ids import digest16
from engage.lib.sweeps import delete_in_sweeps
from engage.profiles import devices

LONGEST_KEY: Final = 200
MOST_BYTES: Final = 32_768  # of the properties, as JSON
REPEATED: Final = timedelta(days=30)  # so long a repeated wish is known
FIND: Final = """
SELECT message_id, properties::text FROM campaigns_serversend, unnest(message_ids) AS message_id
WHERE profile_id = ANY(%s) AND message_ids && %s::uuid[]
"""
# Of people and of those who were merged into the same one; the survivors first. In one statement,
# or a merge between two of them would leave somebody out.
FAMILY: Final = """
WITH survivor AS (
  SELECT DISTINCT coalesce(merged_into, id) AS id FROM profiles_profile WHERE id = ANY(%s)
)
SELECT member.id FROM survivor CROSS JOIN LATERAL (
  SELECT survivor.id, 0 AS place UNION ALL
  SELECT p.id, 1 FROM profiles_profile p WHERE p.merged_into = survivor.id) member
ORDER BY member.place, member.id
"""
# Whoever is being erased is in the journal before anything of theirs is deleted; and their row,
# locked here, is waited for before this room forgets them.
HOLD: Final = "SELECT 1 FROM profiles_profile WHERE id = %s FOR KEY SHARE"
ERASED: Final = "SELECT 1 FROM profiles_erasure WHERE profile_id = %s"
SWEEP: Final = 10_000  # rows deleted by one statement
DROP: Final = """
DELETE FROM campaigns_serversend WHERE (profile_id, id) IN (
  SELECT profile_id, id FROM campaigns_serversend WHERE kept_until <= %s
  ORDER BY kept_until LIMIT %s)
"""


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
    family = list_family([profile_id])
    before = list(ServerSend.objects.filter(profile_id__in=family, id=wish))
    # Two people who became one may both have been asked for, and of different things.
    same = [one for one in before if one.properties == properties]
    if same:
        ids = [message_id for one in same for message_id in one.message_ids]
        return Asked(_rows(family, ids), repeated=True)
    if before:
        raise KeyReused(f"The key {key!r} came before, with other properties.")
    if not family or not is_here(profile_id := family[0]):
        raise NotFound(f"There is no profile {profile_id}.")
    planned = _messages(campaign, run, profile_id, wish=wish, now=now)
    outbox.plan(planned)
    ids = [message.id for message in planned]
    ServerSend.objects.create(
        profile_id=profile_id,
        id=wish,
        message_ids=ids,
        properties=properties,
        created_at=now,
        kept_until=now + max(REPEATED, campaign.expires_after),
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


def is_here(profile_id: int) -> bool:
    """Not erased, nor about to be; neither is before the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [profile_id])
        known = cursor.fetchone() is not None
        cursor.execute(ERASED, [profile_id])
        return known and cursor.fetchone() is None


def list_family(profile_ids: Sequence[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(FAMILY, [list(profile_ids)])
        return [row[0] for row in cursor.fetchall()]


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
            once=str(wish),
            now=now,
        )
        for address_id in list_address_ids(campaign.channel, profile_id)
    ]


def list_address_ids(channel: str, profile_id: int) -> list[str]:
    """Of a push the devices; else, and for somebody without one, the empty one.

    Somebody without a device gets a message too: the door says why not.
    """
    if channel not in TO_DEVICES:
        return [""]
    tokens = devices.push_tokens([profile_id], web=channel == "web_push")
    return [device for device, *_ in tokens.get(profile_id, [])] or [""]


def list_properties(messages: Sequence[Message]) -> dict[UUID, Mapping[str, Any]]:
    """What the server said of the occasion, by message."""
    asked = [message for message in messages if message.kind in (TRANSACTIONAL, TRIGGERED)]
    if not asked:
        return {}
    with connection.cursor() as cursor:
        people = list_family(list({message.profile_id for message in asked}))
        cursor.execute(FIND, [people, [str(message.id) for message in asked]])
        return {message_id: json.loads(text) for message_id, text in cursor.fetchall()}


def drop_old(*, sweeps: int, now: datetime) -> int:
    """Forget the wishes that are over, in at most so many statements; how many."""
    return delete_in_sweeps(DROP, now=now, rows=SWEEP, sweeps=sweeps)


def export(profile_id: int) -> list[dict[str, Any]]:
    """For the copy of all that is kept of a person, the newest first."""
    found = ServerSend.objects.filter(profile_id__in=list_family([profile_id]))
    return [
        {
            "message_ids": [str(one) for one in row.message_ids],
            "properties": row.properties,
            "asked_at": row.created_at.isoformat(),
        }
        for row in found.order_by("-created_at")[:500]
    ]
