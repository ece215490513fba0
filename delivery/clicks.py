"""Clicks as events of the person, once it is known that no machine made them."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from delivery import machines
from delivery.models import Interaction, Link
from engage.profiles import consents, identity, store
from engage.profiles.errors import PoisonEvent
from engage.profiles.events import StoredEvent

logger = logging.getLogger(__name__)

LIMIT: Final = 1_000  # clicks of one transaction


def tell_clicks(now: datetime) -> int:
    """So that the next message knows the product; how many clicks were looked at.

    Safe to run twice: an event has the id of its click, and who dies in between does it again.
    """
    ripe = Interaction.objects.filter(
        untold_link__isnull=False, ts__lt=now - machines.FOUND_OUT
    ).order_by("ts")
    clicks = list(ripe[:LIMIT])
    _store(list(_events(clicks)), now=now)
    Interaction.objects.filter(
        profile_id__in={click.profile_id for click in clicks},
        id__in=[click.id for click in clicks],
    ).update(untold_link=None)
    return len(clicks)


def _events(clicks: Sequence[Interaction]) -> Iterator[StoredEvent]:
    """Nobody's where the person was erased meanwhile."""
    links = Link.objects.in_bulk({click.untold_link for click in clicks}, field_name="digest")
    owners = {each: identity.follow_redirect(each) for each in {c.profile_id for c in clicks}}
    names = identity.list_identities(set(owners.values()))
    for click in clicks:
        for kind, value in names.get(owners[click.profile_id], [])[:1]:
            properties: dict[str, object] = {
                "url": links[click.untold_link].url,
                "message_id": str(click.message_id),
                "campaign_id": click.campaign_id,
                "channel": click.channel,
            }
            if click.item_id:
                properties |= {"product_id": click.item_id, "position": click.position}
            yield StoredEvent(
                source_id=consents.OURSELVES,
                message_id=f"click:{click.key}",
                kind="track",
                name="Product Clicked" if click.item_id else "Link Clicked",
                user_id=value if kind == "user" else "",
                anonymous_id=value if kind == "anonymous" else "",
                ts=click.ts,
                received_at=click.ts,
                properties=properties,
            )


def _store(events: Sequence[StoredEvent], *, now: datetime) -> None:
    """One that cannot be kept takes none of the others with it."""
    try:
        store.store_events(events, now=now)
    except PoisonEvent:
        if len(events) == 1:
            logger.exception("click not told", extra={"message_id": events[0].message_id})
            return
        half = len(events) // 2
        _store(events[:half], now=now)
        _store(events[half:], now=now)
