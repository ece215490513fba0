"""What events say of people, gathered in memory and joined into the rows.

Every part keeps the newest statement by a total order, so joining is the same in any order and
twice is once: profiles do not depend on how events were batched, and a replay gives the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from engage.profiles import attributes, consent_rows, devices, profile_rows
from engage.profiles.attributes import Statements as Attributes
from engage.profiles.consent_rows import Statements as Consents
from engage.profiles.devices import Said
from engage.profiles.devices import Statements as Devices
from engage.profiles.events import StoredEvent

DAY_MS: Final = 86_400_000


class Told(NamedTuple):
    """The context of a profile's latest event, as it was read."""

    context: Mapping[str, Any]
    day_ms: int
    device: Said | None
    words: dict[str, str]


@dataclass(slots=True)
class Statements:
    """By profile id."""

    seen: dict[int, tuple[int, int]] = field(default_factory=dict)  # first and last, ms
    attributes: dict[int, Attributes] = field(default_factory=dict)
    consents: dict[int, Consents] = field(default_factory=dict)
    devices: dict[int, Devices] = field(default_factory=dict)
    told: dict[int, Told] = field(default_factory=dict)
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
        if context:
            self.add_context(profile, context, ts_ms=ts_ms, message_id=message_id)

    def add_context(
        self, profile: int, context: Mapping[str, Any], *, ts_ms: int, message_id: str
    ) -> None:
        day_ms = ts_ms - ts_ms % DAY_MS
        told = self.told.get(profile)
        if told is None or (told.context is not context and told.context != context):
            device, words = devices.read_context(context), attributes.read_context(context)
        elif told.day_ms == day_ms and (told.device is None or told.device.token is None):
            return  # the same device says the same all day
        else:
            device, words = told.device, told.words
        self.told[profile] = Told(context, day_ms, device, words)
        if device is not None:
            stated = self.devices.setdefault(profile, {})
            devices.state(stated, device, day_ms=day_ms, ts_ms=ts_ms, message_id=message_id)
        if words:
            attributes.state_context(self.attributes.setdefault(profile, {}), words, day_ms=day_ms)

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
    """Join what is stated; what contexts repeat all day is not even read."""
    told = {profile: each for profile, each in stated.items() if attributes.is_told_only(each)}
    known = profile_rows.read_attributes(cursor, stated.keys() - told.keys())
    known |= profile_rows.read_told_otherwise(
        cursor,
        [
            (profile, name, rank[1], rank[2])
            for profile, each in told.items()
            for name, (rank, _) in each.items()
        ],
    )
    changed = {
        profile: joined
        for profile, (values, stamps) in known.items()
        if (joined := attributes.join(values, stamps, stated[profile])) is not None
    }
    profile_rows.write_attributes(cursor, changed)
