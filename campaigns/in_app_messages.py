"""The in-app messages of one person at this moment, their slots filled.

No ORM here but the look at the live campaigns every few seconds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from campaigns import in_app, launch_facts, timing
from campaigns.app_content import content_of, spell_time, token_item
from campaigns.in_app import Live, LiveCampaign, Standing
from campaigns.in_app_caps import Room
from campaigns.launch_body import LAUNCHED
from campaigns.launch_facts import Found, Look
from campaigns.personalise import Addressee, Person, personalise
from campaigns.segments.match import EventFact, Facts
from delivery import inapp
from engage.lib.clock import from_millis, to_millis
from engage.lib.ids import uuid7
from engage.lib.redis import Commands

MOST_MESSAGES = 10  # of one answer, by priority
SEEN, CONSENT = "Notification Viewed", "Consent Changed"


class Happened(NamedTuple):
    """An event of this request: it is accepted, and perhaps stored by now."""

    kind: str
    name: str
    at: datetime
    properties: Mapping[str, Any] = {}
    traits: Mapping[str, Any] = {}
    message_id: str = ""


def messages_for(
    *,
    user_id: str,
    anonymous_id: str,
    events: Sequence[Happened],
    seen: Sequence[str] | None,
    now: datetime,
) -> dict[str, Any]:
    """The in-app messages of one person, and the ids the app should forget.

    `events` are the person's in this very request; they count although nobody stored them yet.
    """
    look = Look(user_id=user_id, anonymous_id=anonymous_id, now=now)
    commands = Commands()
    look.ask(commands)
    answers = commands.execute(meanwhile=look.load)
    return messages_from(look, answers, events=events, seen=seen)


def messages_from(
    look: Look, answers: Sequence[Any], *, events: Sequence[Happened], seen: Sequence[str] | None
) -> dict[str, Any]:
    """As `messages_for`, where Redis has answered `look.ask` already."""
    found, live, now = look.find(answers), look.live, look.now
    if not live.campaigns:
        return {"messages": [], "stale": _stale(live, seen)}
    facts = _facts(found, events)
    standing = _standing(found, events, person=look.user_id or look.anonymous_id)
    chosen = [
        one
        for one in live.campaigns
        if in_app.is_eligible(one, standing=standing, facts=facts, now=now)
    ]
    launch: Mapping[str, Any] = next(
        (one.properties for one in reversed(events) if one.name == LAUNCHED), {}
    )
    person = Person(found.known.profile_id, facts.attributes, found.touches, launch)
    room = Room(found.known, facts.attributes, live, now=now)
    messages = []
    for campaign in chosen:
        if not room.has(campaign):
            continue
        message = _message(campaign, person=person, standing=standing, now=now)
        if message is not None:
            room.take(campaign)
            messages.append(message)
        if len(messages) == MOST_MESSAGES:
            break
    return {"messages": messages, "stale": _stale(live, seen)}


def _facts(found: Found, events: Sequence[Happened]) -> Facts:
    """Stored, hinted and this request's: each event once, by its message id."""
    attributes = dict(found.known.attributes)
    by_id: dict[str, EventFact] = {}
    for stored in found.known.events:
        by_id[stored.message_id] = EventFact(
            stored.name, from_millis(stored.ts_ms), stored.properties, stored.message_id
        )
    hinted: dict[str, list[Any]] = defaultdict(list)
    for touch in found.hinted:
        hinted[touch.message_id].append(touch)
    fresh: list[EventFact] = []
    for event in events:
        attributes.update(event.traits)
        fact = EventFact(event.name, event.at, event.properties, event.message_id)
        if event.message_id:
            by_id.setdefault(event.message_id, fact)
        else:
            fresh.append(fact)
    for message_id, touches in hinted.items():
        products = [{"product_id": touch.item} for touch in touches]
        at = from_millis(touches[0].ts_ms)
        by_id.setdefault(
            message_id, EventFact(touches[0].event, at, {"products": products}, message_id)
        )
    return Facts(attributes, [*by_id.values(), *fresh])


def _standing(found: Found, events: Sequence[Happened], *, person: str) -> Standing:
    seen: dict[int, list[datetime]] = defaultdict(list)
    for campaign_id, moments in launch_facts.impressions_of(found.known).items():
        seen[campaign_id] = [from_millis(ms) for ms in moments]
    opted_out = set(found.known.opted_out)
    for event in events:
        told = event.properties
        if event.name == SEEN:
            token = inapp.read_token(told.get("token"))
            if token is not None:
                seen[token.campaign_id].append(event.at)
        elif event.name == CONSENT and told.get("channel") == "in_app":
            change = opted_out.add if told.get("status") == "opted_out" else opted_out.discard
            change(str(told.get("topic") or ""))
    known = found.known.profile_id
    return Standing(
        person=person if known is None else known,
        opted_out=frozenset(opted_out),
        impressions=seen,
    )


def _message(
    live: LiveCampaign, *, person: Person, standing: Standing, now: datetime
) -> dict[str, Any] | None:
    """One message in the shape apps know; None when a slot or the template gives nothing."""
    campaign = live.campaign
    variant = in_app.variant_for(live, standing=standing)
    [personal] = personalise(
        variant.template,
        [Addressee(person)],
        campaign={"id": campaign.id, "name": campaign.name},
        slots=live.slots[variant.template_id],
        now=now,
    )
    if personal.drop:
        return None
    expires_at = now + timing.useful_for(campaign)
    if campaign.ends_at is not None:
        expires_at = min(expires_at, campaign.ends_at)
    return {
        "id": live.id,
        "variant": variant.name,
        "priority": campaign.priority,
        "expires_at": spell_time(expires_at),
        "content_type": personal.content.content_type,
        "content": content_of(personal),
        "trigger": {"event": "App Launched", "where": []},
        "limits": {
            "per_session": 1,
            "per_day": campaign.per_day,
            "lifetime": campaign.lifetime,
        },
        "token": inapp.make_token(
            campaign_id=campaign.id,
            variant_id=variant.id,
            message_id=uuid7(to_millis(now)),
            profile_id=person.profile_id or 0,  # 0: nobody has stored this person yet
            items=[token_item(one) for one in personal.items],
        ),
    }


def _stale(live: Live, seen: Sequence[str] | None) -> list[str]:
    """Of the ids the app holds, those that are over; without them, what was stopped lately."""
    if seen is None:
        return list(live.stale)
    current = {one.id for one in live.campaigns}
    return [one for one in seen if one not in current]
