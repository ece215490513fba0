"""What an app draws itself, of an in-app or an inbox message, and what its token says of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from campaigns.personalise import Personal
from delivery.inapp import TokenItem

LEDGER = ("slot", "rung", "source", "f", "p", "arm", "arms")  # what is learned from later
CARD = ("id", "name", "price", "currency", "image_url", "url", "link", "rank", "reason")


def public_id(campaign_id: int) -> str:
    """A campaign as apps know it."""
    return f"cmp{campaign_id}"


def content_of(personal: Personal) -> dict[str, Any]:
    content = personal.content
    button = {
        "id": "cta",
        "text": content.button,
        "action": {"type": "url" if content.link else "close", "url": content.link, "kv": {}},
    }
    return {
        "title": {"text": content.title},
        "body": {"text": content.body},
        "media": {"url": content.image_url, "type": "image"} if content.image_url else None,
        "buttons": [button] if content.button else [],
        "link": content.link,
        "items": [{name: card[name] for name in CARD if name in card} for card in personal.cards],
    }


def spell_time(moment: datetime) -> str:
    """To the second: "2026-11-02T13:00:00Z"."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def token_item(shown: Mapping[str, Any]) -> TokenItem:
    more = {name: shown[name] for name in LEDGER if name in shown}
    return TokenItem(shown["item"], shown["rank"], shown["price"] or "", more or None)
