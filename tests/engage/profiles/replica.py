"""The slow, obvious twin: what people look like after a set of events, by the definitions."""

from collections import defaultdict
from dataclasses import dataclass, field

from engage.profiles.activity import message_mark
from engage.profiles.events import StoredEvent, filed_ms
from engage.profiles.extract import items
from engage.profiles.identity import is_reserved

DAY_MS = 86_400_000


@dataclass
class Person:
    names: set = field(default_factory=set)
    events: set = field(default_factory=set)
    attributes: dict = field(default_factory=dict)
    consents: dict = field(default_factory=dict)
    devices: dict = field(default_factory=dict)
    touches: list = field(default_factory=list)
    span: tuple = ()


def people_of(given: list[StoredEvent]) -> list[Person]:
    """Every person after the events, in no order. Duplicates of a message id count once."""
    events = list({(e.source_id, e.message_id): e for e in given}.values())
    same = users_who_are_the_same(events)
    owner_of = owners(events)

    def person_of(event: StoredEvent):
        if event.user_id:
            return ("user", same[event.user_id])
        claimed = owner_of.get(event.anonymous_id)
        return ("user", same[claimed]) if claimed else ("anonymous", event.anonymous_id)

    grouped = defaultdict(list)
    for event in events:
        grouped[person_of(event)].append(event)
    people = {}
    for key, theirs in grouped.items():
        people[key] = portrait(theirs)
    for user, root in same.items():
        people[("user", root)].names.add(("user", user))
    for event in events:
        if not event.user_id and event.anonymous_id not in owner_of:
            value = event.anonymous_id
            people[("anonymous", value)].names.add(("anonymous", value))
    for value, claimed in owner_of.items():
        people[("user", same[claimed])].names.add(("anonymous", value))
    return list(people.values())


def users_who_are_the_same(events) -> dict[str, str]:
    same = {e.user_id: e.user_id for e in events if e.user_id}
    links = []
    for e in events:
        if is_alias(e):
            same.setdefault(e.previous_id, e.previous_id)
            links.append((e.previous_id, e.user_id))
    changed = True
    while changed:
        changed = False
        for one, other in links:
            low = min(same[one], same[other])
            for user in (one, other):
                changed |= same[user] != low
                same[user] = low
    return same


def is_alias(e: StoredEvent) -> bool:
    return (
        e.kind == "alias"
        and bool(e.user_id and e.previous_id)
        and not is_reserved(e.user_id)
        and not is_reserved(e.previous_id)
    )


def owners(events) -> dict[str, str]:
    """anonymous id → the user with the earliest claim."""
    claims = defaultdict(list)
    for e in events:
        if e.user_id and e.anonymous_id:
            claims[e.anonymous_id].append((filed_ms(e), e.message_id, e.user_id))
        if is_alias(e):
            claims[e.previous_id].append((filed_ms(e), e.message_id, e.user_id))
    return {
        value: min(honest)[2]
        for value, made in claims.items()
        if not is_reserved(value)
        and (honest := [claim for claim in made if not is_reserved(claim[2])])
    }


def portrait(events) -> Person:
    person = Person()
    person.events = {e.message_id for e in events}
    ordered = sorted(events, key=lambda e: (filed_ms(e), e.message_id))
    person.span = (filed_ms(ordered[0]), filed_ms(ordered[-1]))
    for name in ("locale", "timezone"):
        told = [(filed_ms(e) // DAY_MS, e.context[name]) for e in events if name in e.context]
        if told:
            person.attributes[name] = max(told)[1]
    for e in ordered:
        if e.kind == "identify":
            for name, value in e.traits.items():
                if name != "subscriptions":
                    person.attributes[name] = value
            for channel, yes in e.traits.get("subscriptions", {}).items():
                state(person, (channel, ""), yes, filed_ms(e))
        elif e.name == "Consent Changed":
            p = e.properties
            key = (p["channel"], p.get("topic", ""))
            state(person, key, p["status"] == "opted_in", filed_ms(e))
        device = e.context.get("device", {})
        if "token" in device or (device and device["id"] not in person.devices):
            person.devices[device["id"]] = device.get("token") or ""
    person.attributes = {k: v for k, v in person.attributes.items() if v is not None}
    found = [
        (filed_ms(e), message_mark(e.message_id), -place, item, e.name)
        for e in events
        if e.kind != "identify"
        for place, item in enumerate(items(e.name, e.properties))
    ]
    person.touches = [
        (item, name, ts_ms, mark) for ts_ms, mark, _, item, name in sorted(found, reverse=True)
    ]
    return person


def state(person: Person, key, yes: bool, ts_ms: int) -> None:
    """In order of time: later replaces, at the same moment no stays no."""
    had = person.consents.get(key)
    if had is None or had[1] < ts_ms or not yes:
        person.consents[key] = (yes, ts_ms)
