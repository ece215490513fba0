"""What comes back through our links: clicks, opens, unsubscriptions."""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, transaction

from delivery import interactions, links, suppression
from delivery.interactions import Deed, Kind
from delivery.links import Click, WayOut
from delivery.models import Message, Suppression
from delivery.notices import consume_notices
from engage.lib.clock import to_millis
from engage.lib.errors import EngageError
from engage.profiles import consents, identity, people, store
from engage.profiles.events import StoredEvent

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
        _keep_click(clicked, target, machine=machine, now=now)
    except (EngageError, DatabaseError, OSError):
        logger.exception("click not kept", extra={"message_id": str(clicked.message_id)})
    return target


def _keep_click(clicked: Click, target: str, *, machine: bool, now: datetime) -> None:
    message = _find(clicked.profile_id, clicked.message_id)
    if message is None:  # erased meanwhile
        return
    about = interactions.about(message)
    deed = Deed(about, Kind.CLICK, now, clicked.item, clicked.position, str(clicked.link), machine)
    if machine:
        interactions.add([deed])
        return
    interactions.add([deed, *interactions.seen(about, _shown(message), ts=now)])
    _tell_profile(deed, target)


def open_message(token: str, *, machine: bool, now: datetime) -> bool:
    """Whether the token is ours; the open is written down."""
    recipient = links.read_open(token)
    if recipient is None:
        return False
    message = _find(recipient.profile_id, recipient.message_id)
    if message is not None:
        about = interactions.about(message)
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
    if way_out is None:
        return None
    consents.state_opt_out(
        way_out.profile_id,
        channel=way_out.channel,
        topic=way_out.topic,
        stated_ms=_after_opt_in(way_out, now=now),
        message_id=str(way_out.message_id),
        source=UNSUBSCRIBE_LINK,
    )
    if not way_out.topic and way_out.channel == "email":
        _suppress_email(way_out.profile_id)
    message = _find(way_out.profile_id, way_out.message_id)
    if message is not None:
        interactions.add([Deed(interactions.about(message), Kind.UNSUBSCRIBE, now)])
    return Left(way_out.channel, way_out.topic)


def _after_opt_in(way_out: WayOut, *, now: datetime) -> int:
    """When the withdrawal counts: now, but no earlier than the opt-in it takes back.

    A client whose clock runs ahead states an opt-in of the future; a tie is an opt-out.
    """
    profile_id = identity.follow_redirect(way_out.profile_id)
    known = consents.list_consents([profile_id]).get(profile_id, [])
    place = (way_out.channel, way_out.topic)
    stated: list[int] = [
        one["stated_ms"] for one in known if (one["channel"], one["topic"]) == place
    ]
    return max([to_millis(now), *stated])


def _suppress_email(profile_id: int) -> None:
    known = people.list_attributes([identity.follow_redirect(profile_id)])
    for attributes in known.values():
        address = attributes.get("email")
        if isinstance(address, str) and address:
            suppression.suppress(
                address,
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


def _tell_profile(deed: Deed, target: str) -> None:
    """The click as an event of the person, so that the next message knows the product."""
    names = identity.list_identities([identity.follow_redirect(deed.about.profile_id)])
    for kind, value in next(iter(names.values()), [])[:1]:
        properties: dict[str, object] = {
            "url": target,
            "message_id": str(deed.about.message_id),
            "campaign_id": deed.about.campaign_id,
            "channel": deed.about.channel,
        }
        if deed.item:
            properties |= {"product_id": deed.item, "position": deed.position}
        event = StoredEvent(
            source_id=consents.OURSELVES,
            message_id=f"click:{deed.key}",
            kind="track",
            name="Product Clicked" if deed.item else "Link Clicked",
            user_id=value if kind == "user" else "",
            anonymous_id=value if kind == "anonymous" else "",
            ts=deed.ts,
            received_at=deed.ts,
            properties=properties,
        )
        store.store_events([event], now=deed.ts)
