"""What events say of people, gathered in memory and joined into the rows.

Every part keeps the newest statement by a total order, so joining is the same in any order and
twice is once: profiles do not depend on how events were batched, and a replay gives the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engage.profiles import attributes, consent_rows, devices, profile_rows
from engage.profiles.attributes import Statements as Attributes
from engage.profiles.consent_rows import Statements as Consents
from engage.profiles.devices import Statements as Devices
from engage.profiles.events import StoredEvent


@dataclass(slots=True)
class Statements:
    """By profile id."""

    seen: dict[int, tuple[int, int]] = field(default_factory=dict)  # first and last, ms
    attributes: dict[int, Attributes] = field(default_factory=dict)
    consents: dict[int, Consents] = field(default_factory=dict)
    devices: dict[int, Devices] = field(default_factory=dict)
    refused: int = 0  # attributes that were out of bounds

    def add(
        self,
        profile: int,
        *,
        kind: str,
        name: str,
        ts_ms: int,
        message_id: str,
        properties: Mapping[str, Any],
        context: Mapping[str, Any],
    ) -> None:
        """All that one event says; `properties` as they are filed."""
        span = self.seen.get(profile)
        if span is None:
            self.seen[profile] = (ts_ms, ts_ms)
        elif not span[0] <= ts_ms <= span[1]:
            self.seen[profile] = (min(span[0], ts_ms), max(span[1], ts_ms))
        if kind == "identify":
            self.add_traits(profile, properties, ts_ms=ts_ms, message_id=message_id)
        elif name == consent_rows.EVENT:
            stated = self.consents.setdefault(profile, {})
            consent_rows.state_event(stated, properties, ts_ms=ts_ms, message_id=message_id)
        if "device" in context:
            devices.state(
                self.devices.setdefault(profile, {}), context, ts_ms=ts_ms, message_id=message_id
            )
        if "locale" in context or "timezone" in context:
            attributes.state_context(self.attributes.setdefault(profile, {}), context, ts_ms=ts_ms)

    def add_traits(
        self, profile: int, traits: Mapping[str, Any], *, ts_ms: int, message_id: str
    ) -> None:
        stated = self.attributes.setdefault(profile, {})
        self.refused += attributes.state_traits(stated, traits, ts_ms=ts_ms, message_id=message_id)
        consent_rows.state_subscriptions(
            self.consents.setdefault(profile, {}),
            traits.get("subscriptions"),
            ts_ms=ts_ms,
            message_id=message_id,
        )


def gather(
    events: Sequence[StoredEvent], times: Sequence[int], owners: Sequence[int]
) -> Statements:
    """What the events say of the profiles they belong to."""
    said = Statements()
    for event, ts_ms, owner in zip(events, times, owners, strict=True):
        said.add(
            owner,
            kind=event.kind,
            name=event.name,
            ts_ms=ts_ms,
            message_id=event.message_id,
            properties=event.traits if event.kind == "identify" else event.properties,
            context=event.context,
        )
    return said


def write(cursor: Any, said: Statements) -> None:
    """Join the statements into the rows; locks the profiles in the order of their ids."""
    profile_rows.lock_profiles(cursor, said.seen)
    profile_rows.widen_seen(cursor, said.seen)
    write_attributes(cursor, said.attributes)
    consent_rows.add(cursor, said.consents)
    devices.add(cursor, said.devices)


def write_attributes(cursor: Any, stated: Mapping[int, Attributes]) -> None:
    if not stated:
        return
    known = profile_rows.read_attributes(cursor, stated)
    changed = {
        profile: joined
        for profile, (values, stamps) in known.items()
        if (joined := attributes.join(values, stamps, stated[profile])) is not None
    }
    profile_rows.write_attributes(cursor, changed)
