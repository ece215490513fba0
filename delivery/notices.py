"""What apps say about the messages they showed, turned into rows exactly once."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from delivery import inapp, interactions, outbox
from delivery.inapp import Facts, TokenItem
from delivery.interactions import About, Deed, Kind
from delivery.models import Message
from engage.lib.ids import digest16
from engage.profiles import notices
from engage.profiles.models import Profile
from engage.profiles.notices import Heard

logger = logging.getLogger(__name__)

CONSUMER: Final = "delivery"
NAMES: Final = {
    "Notification Viewed": Kind.IMPRESSION,
    "Notification Clicked": Kind.CLICK,
    "Notification Dismissed": Kind.DISMISS,
}
LIMIT = 1_000  # notices of one transaction
Read = tuple[Heard, Facts, About]


@dataclass(frozen=True, slots=True)
class Consumed:
    heard: int = 0
    written: int = 0  # interactions that were new
    forged: int = 0  # tokens that we did not make


def consume_notices(now: datetime) -> Consumed:
    """The next notices of apps. What they say and how far was read commit together."""
    with notices.read(CONSUMER, names=list(NAMES), limit=LIMIT) as heard:
        read = _still_here(list(_read(heard)))
        _write_messages(read)
        written = interactions.add(deed for one in read for deed in _deeds(*one))
        forged = sum(inapp.read_token(one.properties.get("token")) is None for one in heard)
    if forged:
        logger.warning("forged message tokens", extra={"count": forged})
    return Consumed(len(heard), written, forged)


def _read(heard: Sequence[Heard]) -> Iterator[Read]:
    for one in heard:
        facts = inapp.read_token(one.properties.get("token"))
        if facts is None:
            continue
        # 0: the app opened before anything of the person was stored.
        owner = facts.profile_id or one.profile_id
        about = About(
            owner,
            facts.message_id,
            facts.campaign_id,
            facts.run_id,
            facts.variant_id,
            facts.channel,
        )
        yield one, facts, about


def _still_here(read: list[Read]) -> list[Read]:
    """Without the people who were erased: nothing brings them back."""
    wanted = {about.profile_id for _, _, about in read}
    known = set(Profile.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    return [one for one in read if one[2].profile_id in known]


def _write_messages(read: Sequence[Read]) -> None:
    """The row of an in-app message is written when the app says that it was shown."""
    rows: dict[About, Message] = {}
    for one, facts, about in read:
        if facts.channel == "in_app" and about not in rows:
            rows[about] = Message(
                profile_id=about.profile_id,
                id=facts.message_id,
                key=digest16("in_app", str(facts.message_id)),
                kind="in_app",
                campaign_id=facts.campaign_id,
                run_id=facts.run_id,
                variant_id=facts.variant_id,
                channel="in_app",
                not_before=one.ts,
                expires_at=one.ts,
                created_at=one.ts,
                items=[_record(shown) for shown in facts.items],
            )
    outbox.write_accepted(list(rows.values()))


def _record(shown: TokenItem) -> dict[str, Any]:
    price = {"price": shown.price} if shown.price else {}
    return {"item": shown.item, "rank": shown.position, **price, **(shown.more or {})}


def _deeds(heard: Heard, facts: Facts, about: About) -> list[Deed]:
    """Positions come from the token: the app says which product, we know where it stood."""
    items = {shown.item: shown.position for shown in facts.items}
    named = heard.properties.get("item_id")
    item = named if isinstance(named, str) and named in items else ""
    kind = NAMES[heard.name]
    if kind == Kind.IMPRESSION:
        shown = [(item, items[item])] if item else list(items.items())
        return interactions.seen(about, shown, ts=heard.ts)
    deed = Deed(about, kind, heard.ts, item, items.get(item))
    if kind == Kind.CLICK:  # who clicked has seen
        return [deed, *interactions.seen(about, list(items.items()), ts=heard.ts)]
    return [deed]
