"""One template for many people: slots filled, variables gathered, rendered.

Preview, test sends, real sends and the answer at app launch all come through `personalise`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from campaigns import slots as slot_filling
from campaigns.errors import TemplateAborted, TemplateFailed
from campaigns.models import Slot, Template
from campaigns.render import Content, render
from delivery import links
from engage.profiles import activity, extract, identity, people
from recommendations import serve

TEMPLATE_ERROR = "template_error"
NO_CONTENT = "no_content"

Link = Callable[[str, str, int | None], str]  # url, item, position → where it leads


class Person(NamedTuple):
    """What personalising needs to know of somebody."""

    profile_id: int | None
    attributes: Mapping[str, Any]
    touches: Sequence[activity.Touch]
    event: Mapping[str, Any] = {}  # properties of what sends the message


class Addressee(NamedTuple):
    """A person, and the links of the message they will get."""

    person: Person
    unsubscribe_url: str = ""
    link: Link | None = None  # None: links lead straight to their targets
    name: str = ""  # the id they were identified by; for webhooks only


class Personal(NamedTuple):
    """What one person gets to see, or in `drop` the reason why they get nothing."""

    content: Content = Content()
    cards: Sequence[Mapping[str, Any]] = ()  # of all slots, in the order of the slots
    items: Sequence[Mapping[str, Any]] = ()  # the same for the ledger
    short: Sequence[Mapping[str, Any]] = ()  # for the ledger too: slots too short, an abort
    drop: str = ""
    problem: str = ""  # what the template did wrong, for its author
    worth: float = 0.0  # what is expected of the best product


def load_people(profile_ids: Sequence[int]) -> dict[int, Person]:
    """Those of the profiles that exist, with their present attributes and latest activity."""
    attributes = people.list_attributes(profile_ids)
    touches = activity.recent_many(list(attributes))
    return {
        profile_id: Person(profile_id, known, touches.get(profile_id, []))
        for profile_id, known in attributes.items()
    }


def personalise(
    template: Template,
    addressees: Sequence[Addressee],
    *,
    campaign: Mapping[str, Any],
    now: datetime,
    slots: Sequence[Slot] | None = None,
) -> list[Personal]:
    """One result per addressee, in their order. One odd person never stops the others."""
    if not addressees:
        return []
    if slots is None:
        slots = list(template.slots.order_by("pk"))
    who = [serve.Who(one.person.profile_id, list(one.person.touches)) for one in addressees]
    contexts = [context_of(one.person) for one in addressees]
    fillings = slot_filling.fill(slots, who=who, contexts=contexts, now=now)
    if any(one.link is not None for one in addressees):
        shown = (cards for one in fillings for cards in one.cards.values())
        links.keep(card["url"] for cards in shown for card in cards)
    if template.channel == "webhook":
        addressees = _named(addressees)
    return [
        _one(template, addressee, filling, campaign)
        for addressee, filling in zip(addressees, fillings, strict=True)
    ]


def _named(addressees: Sequence[Addressee]) -> list[Addressee]:
    """With their ids: a receiver of webhooks must know whom one is about."""
    known = [one.person.profile_id for one in addressees if one.person.profile_id is not None]
    names = identity.list_identities(known)
    return [
        one._replace(name=names[found][0][1])
        if (found := one.person.profile_id) is not None and names.get(found)
        else one
        for one in addressees
    ]


def context_of(person: Person) -> serve.Context:
    return serve.Context(extract.items("", person.event), person.event, person.attributes)


def _one(
    template: Template,
    addressee: Addressee,
    filling: slot_filling.Filling,
    campaign: Mapping[str, Any],
) -> Personal:
    if filling.drop:
        return Personal(drop=filling.drop, short=filling.short)
    cards = {
        name: [_with_link(card, addressee.link) for card in of_slot]
        for name, of_slot in filling.cards.items()
    }
    variables = {
        "profile": addressee.person.attributes,
        "event": addressee.person.event,
        "slots": cards,
        "campaign": campaign,
        "unsubscribe_url": addressee.unsubscribe_url,
    }
    if template.channel == "webhook":
        variables["person"] = {"id": addressee.name}
    try:
        content = render(template, variables)
    except TemplateAborted as exc:
        told = [{"aborted": exc.word}] if exc.word else []
        return Personal(drop=exc.code, short=told, problem=exc.word)
    except TemplateFailed as exc:
        return Personal(drop=TEMPLATE_ERROR, problem=exc.message)
    if not _says_something(template.channel, content):
        return Personal(drop=NO_CONTENT, short=filling.short)
    if addressee.link and content.link and not _is_ours(content.link, cards):
        content = replace(content, link=addressee.link(content.link, "", None))
    every = [card for of_slot in cards.values() for card in of_slot]
    return Personal(
        content=content,
        cards=every,
        items=filling.items,
        short=filling.short,
        worth=filling.worth,
    )


def _with_link(card: Mapping[str, Any], link: Link | None) -> dict[str, Any]:
    if link is None or not card["url"]:
        return dict(card)
    return {**card, "link": link(card["url"], card["id"], card["rank"])}


def _is_ours(link: str, cards: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    """Already a tracked link of one of the products."""
    return any(link == card["link"] for of_slot in cards.values() for card in of_slot)


def _says_something(channel: str, content: Content) -> bool:
    if channel == "email":
        return bool(content.subject and content.html.strip())
    return bool(content.title or content.body)
