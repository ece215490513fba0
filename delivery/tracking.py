"""What comes back through our links: clicks, opens, unsubscriptions."""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, transaction

from delivery import interactions, links, machines, suppression
from delivery.interactions import Deed, Kind
from delivery.links import Click, WayOut
from delivery.models import Message, Suppression
from delivery.notices import consume_notices
from engage.lib.errors import EngageError
from engage.profiles import consents, identity, people

logger = logging.getLogger(__name__)

__all__ = ["click", "consume_notices", "open_message", "read_way_out", "unsubscribe"]

UNSUBSCRIBE_LINK = "unsubscribe link"


def click(token: str, *, machine: bool, now: datetime) -> str | None:
    """Where the link leads, and the click written down; None for a token that is not ours.

    A person is taken to the shop even when the click cannot be kept.
    """
    clicked = links.read_click(token)
    target = links.find_target(clicked.link) if clicked else None
    if clicked is None or target is None:
        return None
    try:
        _keep_click(clicked, machine=machine, now=now)
    except (EngageError, DatabaseError, OSError):
        logger.exception("click not kept", extra={"message_id": str(clicked.message_id)})
    return target


def _keep_click(clicked: Click, *, machine: bool, now: datetime) -> None:
    message = _find(clicked.profile_id, clicked.message_id)
    if message is None:  # erased meanwhile
        return
    about = interactions.about(message)
    machine = machine or machines.is_given_away(message, now=now)
    deed = Deed(about, Kind.CLICK, now, clicked.item, clicked.position, str(clicked.link), machine)
    if machine:
        interactions.add([deed])
        return
    untold = deed._replace(untold_link=clicked.link)  # an event only when nobody can give it away
    interactions.add([untold, *interactions.seen(about, _shown(message), ts=now)])
    if machines.is_hasty(deed):
        machines.give(about, now=now, within=machines.TOGETHER)


def trap(token: str, *, now: datetime) -> bool:
    """Whether the token is ours; whoever came here is a machine, and so it was a moment ago."""
    recipient = links.read_trap(token)
    if recipient is None:
        return False
    message = _find(recipient.profile_id, recipient.message_id)
    if message is not None:
        about = interactions.about(message)
        # One a minute is enough to know of each scan.
        interactions.add([Deed(about, Kind.TRAP, now, link=f"{now:%Y%m%d%H%M}", machine=True)])
        machines.give(about, now=now, within=machines.AROUND_A_TRAP)
    return True


def open_message(token: str, *, machine: bool, now: datetime) -> bool:
    """Whether the token is ours; the open is written down."""
    recipient = links.read_open(token)
    if recipient is None:
        return False
    message = _find(recipient.profile_id, recipient.message_id)
    if message is not None:
        about = interactions.about(message)
        machine = machine or machines.is_given_away(message, now=now)
        deeds = [Deed(about, Kind.OPEN, now, machine=machine)]
        if not machine:
            deeds += interactions.seen(about, _shown(message), ts=now)
        interactions.add(deeds)
    return True


def read_way_out(token: str) -> WayOut | None:
    return links.read_unsubscribe(token)


@dataclass(frozen=True, slots=True)
class Left:
    """What somebody is unsubscribed from now."""

    channel: str
    topic: str


@transaction.atomic
def unsubscribe(token: str, *, now: datetime) -> Left | None:
    """End the subscription; None for a token that is not ours. Safe to run twice.

    From the commit on, no message is marked: the consent is withdrawn and, unless it was about a
    topic, the address is suppressed, whoever else has it.
    """
    way_out = links.read_unsubscribe(token)
    return leave(way_out, now=now) if way_out else None


def leave(way_out: WayOut, *, now: datetime) -> Left:
    """In the caller's transaction."""
    consents.state_opt_out(
        way_out.profile_id,
        channel=way_out.channel,
        topic=way_out.topic,
        stated_ms=consents.after_last_ms(
            way_out.profile_id, channel=way_out.channel, topic=way_out.topic, now=now
        ),
        message_id=str(way_out.message_id),
        source=UNSUBSCRIBE_LINK,
    )
    message = _find(way_out.profile_id, way_out.message_id)
    if not way_out.topic and way_out.channel == "email":
        _suppress_email(way_out.profile_id, message)
    if message is not None:
        interactions.add([Deed(interactions.about(message), Kind.UNSUBSCRIBE, now)])
    return Left(way_out.channel, way_out.topic)


def _suppress_email(profile_id: int, message: Message | None) -> None:
    """The address that the mail went to; the person's own where that is not known any more."""
    digest = message.address_digest if message and message.channel == "email" else None
    if digest is not None:
        _suppress(digest)
        return
    known = people.list_attributes([identity.follow_redirect(profile_id)])
    for attributes in known.values():
        address = attributes.get("email")
        if isinstance(address, str) and address:
            _suppress(suppression.digest(address, channel="email"))


def _suppress(digest: UUID) -> None:
    suppression.suppress_digest(
        digest,
        channel="email",
        reason=Suppression.Reason.UNSUBSCRIBED,
        source=UNSUBSCRIBE_LINK,
    )


def _find(profile_id: int, message_id: UUID) -> Message | None:
    return Message.objects.filter(profile_id=profile_id, id=message_id).first()


def _shown(message: Message) -> list[tuple[str, int | None]]:
    return [
        (str(one["item"]), one.get("rank"))
        for one in message.items
        if isinstance(one, dict) and one.get("item")
    ]
