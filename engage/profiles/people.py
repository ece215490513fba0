"""The whole person, for an export; and what they are, for a message."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from engage.lib.errors import NotFound
from engage.profiles import consents, devices, identity

EVENTS: Final = """
SELECT message_id, name, kind, ts, received_at, source_id, user_id, anonymous_id,
       properties::text, context::text
FROM profiles_event WHERE profile_id = %s ORDER BY ts, message_id
"""


def get_person(profile_id: int) -> dict[str, Any]:
    """Everything we keep about a person, as the export shows it.

    The rooms above add their parts by `settings.PERSON_PARTS`: name → function of a profile id.

    Raises
    ------
    NotFound
        There is no such profile.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attributes::text, first_seen, last_seen FROM profiles_profile"
            " WHERE id = %s AND merged_into IS NULL",
            [profile_id],
        )
        row = cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no profile {profile_id}.")
    names = identity.list_identities([profile_id]).get(profile_id, [])
    parts = {name: import_string(path)(profile_id) for name, path in settings.PERSON_PARTS.items()}
    return {
        "profile": {
            "id": names[0][1] if names else str(profile_id),
            "attributes": msgspec.json.decode(row[0]),
            "first_seen": spell_time(row[1]),
            "last_seen": spell_time(row[2]),
        },
        "identities": [{"kind": kind, "value": value} for kind, value in names],
        "devices": [
            {**device, "last_seen": spell_time(device["last_seen"])}
            for device in devices.list_devices(profile_id)
        ],
        "consents": consents.list_consents([profile_id]).get(profile_id, []),
        "events": list_events(profile_id),
        "messages": [],
        **parts,
    }


def list_events(profile_id: int) -> list[dict[str, Any]]:
    """The events of a profile, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, [profile_id])
        return [
            {
                "message_id": message_id,
                "event": name,
                "type": kind,
                "ts": spell_time(ts),
                "received_at": spell_time(received_at),
                "source": source_id,
                "user_id": user_id,
                "anonymous_id": anonymous_id,
                "properties": msgspec.json.decode(properties),
                "context": msgspec.json.decode(context),
            }
            for message_id, name, kind, ts, received_at, source_id, user_id, anonymous_id,
                properties, context in cursor.fetchall()
        ]  # fmt: skip


def list_attributes(profile_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The attributes of each profile that exists."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, attributes::text FROM profiles_profile WHERE id = ANY(%s)",
            [list(profile_ids)],
        )
        return {row[0]: msgspec.json.decode(row[1]) for row in cursor.fetchall()}


def list_attribute_names(*, sample: int = 1_000) -> set[str]:
    """What is known of anybody among the newest profiles; rarer attributes may be missing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT jsonb_object_keys(attributes) FROM (SELECT attributes "
            "FROM profiles_profile WHERE merged_into IS NULL ORDER BY id DESC LIMIT %s) newest",
            [sample],
        )
        return {name for (name,) in cursor.fetchall()}


def list_zones(profile_ids: Sequence[int]) -> dict[int, str | None]:
    """The time zone that each profile named, if any."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, attributes ->> 'timezone' FROM profiles_profile WHERE id = ANY(%s)",
            [list(profile_ids)],
        )
        return dict(cursor.fetchall())


def spell_time(moment: datetime) -> str:
    """2026-11-02T12:00:00.000Z"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
