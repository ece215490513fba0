"""The page of one person: everything we know, what they got, and what they would get."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import redis
from django.db.models import Q

from campaigns.models import Campaign, Run
from catalog.models import Product
from delivery import shown
from delivery.models import Message
from engage.lib import screen
from engage.lib.clock import from_millis
from engage.lib.errors import EngageError
from engage.profiles import activity
from engage.profiles.directory import name_person
from engage.profiles.models import Consent, Device, Event, Identity, Merge, Profile
from recommendations import serve

logger = logging.getLogger(__name__)
EVENTS_SHOWN = 50
MESSAGES_SHOWN = 30
TOUCHES_SHOWN = 12
RECOMMENDED = 8
CATALOG = "default"


def describe(profile: Profile, *, now: datetime) -> dict[str, Any]:
    """The context of the page."""
    touches, trouble = recent_touches(profile.pk)
    recommended = [] if trouble else list_recommended(profile.pk, touches, now=now)
    names = name_products([touch.item for touch in touches])
    return {
        "profile": profile,
        "name": name_person(profile.attributes, profile.pk),
        "first_seen": screen.stamp(profile.first_seen),
        "last_seen": screen.ago(profile.last_seen, now=now),
        "attributes": sorted(profile.attributes.items()),
        "identities": Identity.objects.filter(profile=profile).order_by("-kind", "value"),
        "merges": Merge.objects.filter(Q(winner_id=profile.pk) | Q(loser_id=profile.pk)).order_by(
            "-merged_at"
        )[:20],
        "devices": list_devices(profile.pk, now=now),
        "consents": list_consents(profile.pk),
        "touches": [touch_line(touch, names, now=now) for touch in touches[:TOUCHES_SHOWN]],
        "events": list_events(profile.pk),
        "messages_to_person": list_messages(profile.pk),
        "recommended": recommended,
        "trouble": trouble,
    }


def recent_touches(profile_id: int) -> tuple[Sequence[Any], str]:
    """What they did lately, hints of the queue included; else a word about what is away."""
    try:
        return activity.recent(profile_id), ""
    except (redis.RedisError, EngageError):
        logger.warning("recent activity cannot be read", extra={"profile_id": profile_id})
        return [], "The queue does not answer, so recent activity is not shown."


def list_recommended(
    profile_id: int, touches: Sequence[Any], *, now: datetime
) -> list[dict[str, Any]]:
    who = serve.Who(profile_id=profile_id, touches=list(touches))
    try:
        [filled] = serve.recommend([who], catalog=CATALOG, n=RECOMMENDED, now=now)
    except EngageError:  # no catalog yet, no product yet
        return []
    products = {p.item_id: p for p in find_products([pick.item for pick in filled.picks])}
    return [
        {"pick": pick, "product": products.get(pick.item), "rung": pick.rung.replace("_", " ")}
        for pick in filled.picks
    ]


def find_products(items: Iterable[str]) -> Iterable[Product]:
    return Product.objects.filter(catalog__name=CATALOG, item_id__in=set(items))


def name_products(items: Iterable[str]) -> dict[str, str]:
    return dict(find_products(items).values_list("item_id", "name"))  # type: ignore[attr-defined]


def touch_line(touch: Any, names: Mapping[str, str], *, now: datetime) -> dict[str, str]:
    return {
        "event": touch.event,
        "item": touch.item,
        "name": names.get(touch.item, ""),
        "when": screen.ago(from_millis(touch.ts_ms), now=now),
    }


def list_devices(profile_id: int, *, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "what": " ".join(w for w in (device.platform, device.model) if w) or "device",
            "id": device.device_id,
            "app": device.app_version,
            "push": screen.pill("gone", "red")
            if device.gone_at
            else screen.pill("push", "green")
            if device.token
            else screen.pill("no push", "grey"),
            "seen": screen.ago(device.last_seen, now=now),
        }
        for device in Device.objects.filter(profile_id=profile_id).order_by("-last_seen")
    ]


def list_consents(profile_id: int) -> list[dict[str, Any]]:
    consents = Consent.objects.filter(profile_id=profile_id).order_by("channel", "topic")
    return [
        {
            "channel": consent.channel.replace("_", "-"),
            "topic": consent.topic,
            "status": screen.state_pill(consent.status),
            "stated": screen.stamp(from_millis(consent.stated_ms)) if consent.stated_ms else "",
            "source": consent.source,
        }
        for consent in consents
    ]


def list_events(profile_id: int) -> list[dict[str, Any]]:
    events = Event.objects.filter(profile_id=profile_id).order_by("-ts")[:EVENTS_SHOWN]
    return [
        {
            "name": event.name,
            "when": f"{event.ts:%Y-%m-%d %H:%M:%S}",
            "properties": event.properties,
            "kind": event.kind,
        }
        for event in events
    ]


def list_messages(profile_id: int) -> list[dict[str, Any]]:
    messages = list(
        Message.objects.filter(profile_id=profile_id).order_by("-created_at")[:MESSAGES_SHOWN]
    )
    campaigns = Campaign.objects.filter(pk__in={message.campaign_id for message in messages})
    names = dict(campaigns.values_list("pk", "name"))
    known = Run.objects.filter(pk__in={message.run_id for message in messages})
    runs = set(known.values_list("pk", flat=True))
    return [
        {
            "campaign": names.get(message.campaign_id, ""),
            "run": message.run_id if message.run_id in runs else None,
            "channel": message.channel.replace("_", "-"),
            "kind": message.kind,
            "state": screen.state_pill(message.state),
            "reason": message.reason,
            "when": screen.stamp(message.created_at),
            "items": shown.describe(message.items),
        }
        for message in messages
    ]
