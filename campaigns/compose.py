"""From claimed messages to drafts: delivery's composer for campaigns."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from campaigns import occasions, triggers
from campaigns.app_content import content_of, token_item
from campaigns.models import Campaign, Template, Variant
from campaigns.personalise import NO_CONTENT, Addressee, Person, Personal, load_people, personalise
from delivery import endpoints, inapp, links
from delivery.drafts import (
    Content,
    Draft,
    EmailContent,
    InboxContent,
    PushContent,
    SmsContent,
    WebhookContent,
)
from delivery.models import Message
from delivery.phones import find_number
from delivery.policy import ON_OCCASION, TO_DEVICES, TRANSACTIONAL, Drop
from engage.lib import clock
from engage.profiles import devices

Composed = Draft | Drop
OCCASION_GONE = "occasion_gone"  # sent again so late that nobody knows what it is about
DID_MEANWHILE = "did_meanwhile"  # what the campaign says must not have been done


class Address(NamedTuple):
    text: str  # empty: there is none
    platform: str = ""  # of a device


def compose(messages: Sequence[Message], *, now: datetime | None = None) -> list[Composed]:
    """One draft or drop per message, in their order."""
    now = now or clock.now()
    people = load_people([message.profile_id for message in messages])
    events = occasions.list_properties(messages)
    addresses = _addresses(messages, people)
    composed: dict[int, Composed] = {}
    for (variant_id, channel), places in _by_wording(messages).items():
        variant = (
            Variant.objects.select_related(
                "campaign__endpoint", "campaign__quiet_template", "template"
            )
            .filter(pk=variant_id)
            .first()
        )
        # Taken out of the campaign, or its template made one of another channel, since it was
        # planned.
        template = _template_of(variant, channel) if variant else None
        if variant is None or template is None:
            composed |= dict.fromkeys(places, Drop(NO_CONTENT))
            continue
        endpoint = variant.campaign.endpoint
        if channel == "webhook":
            if endpoint is None or endpoint.disabled_at is not None:
                composed |= dict.fromkeys(places, Drop(endpoints.DISABLED))
                continue
            addresses |= dict.fromkeys(places, Address(endpoint.url))
        ready = []
        own = [messages[place] for place in places]
        done = triggers.list_done(own, event=variant.campaign.unless_event)
        events |= triggers.list_examples(own, event=variant.campaign.on_event)
        for place in places:
            if messages[place].id in done:
                composed[place] = Drop(DID_MEANWHILE)
            elif not addresses[place].text or messages[place].profile_id not in people:
                composed[place] = _unaddressed(messages[place])
            elif messages[place].kind in ON_OCCASION and messages[place].id not in events:
                composed[place] = Drop(OCCASION_GONE)
            else:
                ready.append(place)
        addressees = [_addressee(messages[place], people, events) for place in ready]
        personal = personalise(
            template,
            addressees,
            campaign={"id": variant.campaign_id, "name": variant.campaign.name},
            now=now,
        )
        for place, addressee, one in zip(ready, addressees, personal, strict=True):
            composed[place] = _draft(
                messages[place],
                one,
                address=addresses[place],
                way_out=addressee.unsubscribe_url,
                campaign=variant.campaign,
                now=now,
            )
    return [composed[place] for place in range(len(messages))]


def _by_wording(messages: Sequence[Message]) -> dict[tuple[int, str], list[int]]:
    places = defaultdict(list)
    for place, message in enumerate(messages):
        places[message.variant_id, message.channel].append(place)
    return places


def _template_of(variant: Variant, channel: str) -> Template | None:
    """What the campaign says on the channel; by another than its own it goes in quiet hours."""
    campaign = variant.campaign
    template = variant.template if channel == campaign.channel else campaign.quiet_template
    return template if template is not None and template.channel == channel else None


def _addresses(messages: Sequence[Message], people: Mapping[int, Person]) -> dict[int, Address]:
    """The present address of each message by its place."""
    tokens = {
        (channel, profile_id, device_id): Address(token, platform)
        for channel in TO_DEVICES
        if (asked := [one.profile_id for one in messages if one.channel == channel])
        for profile_id, found in devices.push_tokens(asked, web=channel == "web_push").items()
        for device_id, token, platform in found
    }
    return {
        place: tokens.get((message.channel, message.profile_id, message.address_id), Address(""))
        if message.channel in TO_DEVICES
        else Address(_own_address(message.channel, people.get(message.profile_id)))
        for place, message in enumerate(messages)
    }


def _own_address(channel: str, person: Person | None) -> str:
    if channel == "inbox":
        return str(person.profile_id) if person else ""
    found = person.attributes.get("phone" if channel == "sms" else "email") if person else None
    if not isinstance(found, str):
        return ""
    return find_number(found) if channel == "sms" else found.strip()


def _addressee(
    message: Message, people: Mapping[int, Person], events: Mapping[UUID, Mapping[str, Any]]
) -> Addressee:
    person = people[message.profile_id]
    if message.id in events:
        person = person._replace(event=events[message.id])
    way_out = links.unsubscribe_url(message)
    if message.channel == "inbox":  # the app tells of taps itself, as of in-app messages
        return Addressee(person=person, unsubscribe_url=way_out)
    return Addressee(person=person, unsubscribe_url=way_out, link=links.Tracker(message).link)


def _unaddressed(message: Message) -> Draft:
    """Nothing to render; the door says why: erased, merged, or simply no address."""
    content: Content = PushContent(title="", body="")
    if message.channel == "email":
        content = EmailContent(subject="", html="", text="", sender="")
    return Draft(message_id=message.id, key=message.key, address="", content=content)


def _draft(
    message: Message,
    personal: Personal,
    *,
    address: Address,
    way_out: str,
    campaign: Campaign,
    now: datetime,
) -> Composed:
    if personal.drop:
        return Drop(personal.drop, tuple(personal.short))
    return Draft(
        message_id=message.id,
        key=message.key,
        address=address.text,
        platform=address.platform,
        content=_content(message, personal, way_out=way_out, campaign=campaign, now=now),
        items=[*personal.items, *personal.short],
        worth=personal.worth,
    )


def _content(
    message: Message, personal: Personal, *, way_out: str, campaign: Campaign, now: datetime
) -> Content:
    match message.channel:
        case "email":
            return _email_content(message, personal, way_out=way_out, sender=campaign.sender)
        case "sms":
            return SmsContent(text=personal.content.body, status_url=links.status_url(message))
        case "webhook":
            assert campaign.endpoint is not None  # noqa: S101 - `compose` looked
            secrets = endpoints.list_secrets(campaign.endpoint, now=now)
            return WebhookContent(body=personal.content.body.encode(), secrets=secrets)
        case "inbox":
            return _inbox_content(message, personal)
    return _push_content(message, personal, now=now)


def _email_content(
    message: Message, personal: Personal, *, way_out: str, sender: str
) -> EmailContent:
    return EmailContent(
        subject=personal.content.subject,
        html=links.tracked_html(personal.content.html, message, _shown(personal)),
        text=personal.content.text,
        sender=sender,
        # The button of mail programs would promise what it does not do: these come all the same.
        unsubscribe_url="" if message.kind == TRANSACTIONAL else way_out,
    )


def _shown(personal: Personal) -> list[links.ShownItem]:
    """A plain link to a product's page counts for that product too."""
    return [links.ShownItem(card["url"], card["id"], card["rank"]) for card in personal.cards]


def _push_content(message: Message, personal: Personal, *, now: datetime) -> PushContent:
    content = personal.content
    return PushContent(
        title=content.title,
        body=content.body,
        image=content.image_url,
        link=content.link,
        data={"message_id": str(message.id), "campaign_id": str(message.campaign_id)},
        ttl_seconds=max(0, int((message.expires_at - now).total_seconds())),
    )


def _inbox_content(message: Message, personal: Personal) -> InboxContent:
    token = inapp.make_token(
        message_id=message.id,
        profile_id=message.profile_id,
        campaign_id=message.campaign_id,
        variant_id=message.variant_id,
        run_id=message.run_id,
        channel="inbox",
        items=[token_item(one) for one in personal.items],
    )
    return InboxContent(
        campaign_id=message.campaign_id,
        content_type=personal.content.content_type,
        content=content_of(personal),
        token=token,
        expires_at=message.expires_at,
    )
