"""Addresses that must not be written to, kept as digests."""

import unicodedata
from contextlib import suppress as ignoring
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from django.db import connection

from delivery.models import Suppression
from delivery.phones import find_number
from engage.lib.ids import digest16

ADD: Final = """
INSERT INTO delivery_suppression (channel, digest, reason, source, created_at)
VALUES (%s, %s::uuid, %s, %s, coalesce(%s, clock_timestamp()))
ON CONFLICT (channel, digest) DO UPDATE
SET reason = CASE delivery_suppression.reason WHEN 'unsubscribed' THEN excluded.reason
             ELSE delivery_suppression.reason END,
    source = excluded.source,
    created_at = greatest(delivery_suppression.created_at, excluded.created_at)
RETURNING xmax = 0
"""


def normalise(address: str, *, channel: str) -> str:
    """The form in which two spellings of one address are equal."""
    plain = unicodedata.normalize("NFC", address).strip()
    if channel == "sms":
        return find_number(plain) or plain
    if channel != "email":
        return plain
    local, at, domain = plain.lower().rpartition("@")
    return f"{local}{at}{_on_the_wire(domain)}"


@lru_cache(maxsize=10_000)
def _on_the_wire(domain: str) -> str:
    with ignoring(UnicodeError):  # what is no domain stays as it is
        return domain.encode("idna").decode()
    return domain


def digest(address: str, *, channel: str) -> UUID:
    return digest16(channel, normalise(address, channel=channel))


def suppress(
    address: str, *, channel: str, reason: Suppression.Reason | str, source: str = ""
) -> bool:
    """Never write to the address again; whether that is new. Safe to run twice.

    Any other reason replaces `unsubscribed`, and a new unsubscription renews the time of the old
    one: an opt-in in between no longer counts.
    """
    return suppress_digest(
        digest(address, channel=channel), channel=channel, reason=reason, source=source
    )


def suppress_digest(
    digest: UUID,
    *,
    channel: str,
    reason: Suppression.Reason | str,
    source: str = "",
    stated_at: datetime | None = None,
) -> bool:
    """The same for an address that only its digest is known of. `stated_at`: None is now."""
    with connection.cursor() as cursor:
        cursor.execute(ADD, [channel, digest.hex, reason, source, stated_at])
        return bool(cursor.fetchone()[0])


def is_suppressed(address: str, *, channel: str) -> bool:
    found = Suppression.objects.filter(channel=channel, digest=digest(address, channel=channel))
    return found.exists()


def is_blocked(address: str, *, channel: str) -> bool:
    """On the list for good: an opt-in opens an unsubscribed address again, no other."""
    found = Suppression.objects.filter(channel=channel, digest=digest(address, channel=channel))
    return found.exclude(reason=Suppression.Reason.UNSUBSCRIBED).exists()


def lift(address: str, *, channel: str) -> bool:
    """Take an address off the list; whether it was on it."""
    found = Suppression.objects.filter(channel=channel, digest=digest(address, channel=channel))
    return found.delete()[0] > 0
