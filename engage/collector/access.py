"""Who may come in: write keys of apps, server keys of servers, where a request may carry them."""

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from django.db import Error, close_old_connections, connection, transaction
from django.db.models import Q
from django.http import HttpRequest

from engage.collector.errors import InvalidKey, InvalidServerKey, ServerKeyNeeded
from engage.collector.models import SdkKey, Source
from engage.lib import clock
from engage.lib.errors import InvalidInput

PREFIX: Final[Mapping[str, str]] = {"write": "wk_", "server": "sk_"}
RANDOM_BYTES: Final = 24
LONGEST: Final = 200  # letters; what is longer is not a key of ours
REMEMBER_SECONDS: Final = 5.0  # so long may a revoked key still work in a process
MOST_REMEMBERED: Final = 10_000


class Access(NamedTuple):
    """What a valid key permits."""

    source_id: int
    kind: str  # write, server


class Remembered(NamedTuple):
    access: Access | None
    fresh_until: float  # monotonic seconds


_remembered: dict[str, Remembered] = {}


# --- making and ending keys ------------------------------------------------------------------


@transaction.atomic
def create_key(name: str, *, kind: str = "write", expires_at: datetime | None = None) -> str:
    """A new key of the source with this name, which is made if it is new. It is shown once.

    A source may have several keys: the old one lives on until it is revoked or expires.
    """
    if kind not in PREFIX:
        raise InvalidInput(f"A key is of kind write or server, not {kind!r}.")
    name = name.strip()
    if not 0 < len(name) <= 100:
        raise InvalidInput("The name of a source has 1 to 100 letters.")
    source, _ = Source.objects.get_or_create(name=name)
    key = PREFIX[kind] + secrets.token_urlsafe(RANDOM_BYTES)
    SdkKey.objects.create(
        source=source, kind=kind, digest=digest_of(key), hint=key[:8], expires_at=expires_at
    )
    return key


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def forget_keys() -> None:
    """Look every key up anew; other processes do within `REMEMBER_SECONDS`."""
    _remembered.clear()


# --- recognising them ------------------------------------------------------------------------


def find_key(raw: str) -> Access | None:
    """What this key permits now; None for one that is unknown, expired or revoked.

    While the database is away a key that was valid stays so: its events only need the stream.

    Raises
    ------
    django.db.Error
        The database is away and the key was not seen before.
    """
    now = time.monotonic()
    known = _remembered.get(raw)
    if known is not None and now < known.fresh_until:
        return known.access
    if not 0 < len(raw) <= LONGEST or not raw.isascii():
        return None
    try:
        access = read_key(raw)
    except Error:
        if known is None or known.access is None:
            raise
        access = known.access
    if len(_remembered) >= MOST_REMEMBERED:  # somebody is guessing
        _remembered.clear()
    _remembered[raw] = Remembered(access, now + REMEMBER_SECONDS)
    return access


def read_key(raw: str) -> Access | None:
    if not connection.in_atomic_block:
        close_old_connections()  # the doors for events run without Django's handler, which does it
    valid = Q(expires_at=None) | Q(expires_at__gt=clock.now())
    found = (
        SdkKey.objects.filter(valid, digest=digest_of(raw), revoked_at=None)
        .values_list("source_id", "kind")
        .first()
    )
    return Access(*found) if found else None


def open_to(request: HttpRequest, *, body_key: str | None = None) -> Access:
    """The first valid key among those the request carries.

    Raises
    ------
    InvalidKey
        There is none.
    """
    for raw in keys_of(request, body_key=body_key):
        if (access := find_key(raw)) is not None:
            return access
    raise InvalidKey(
        "The write key is missing, unknown, expired or revoked.",
        detail="Send it as writeKey in the body, as the user of Basic authorization or as bearer.",
    )


def open_to_servers(request: HttpRequest) -> Access:
    """As `open_to`, for a server key in the header.

    Raises
    ------
    InvalidServerKey, ServerKeyNeeded
    """
    try:
        access = open_to(request)
    except InvalidKey as exc:
        raise InvalidServerKey(
            "The server key is missing, unknown, expired or revoked.",
            detail="Send it as the user of Basic authorization or as bearer.",
        ) from exc
    if access.kind != SdkKey.Kind.SERVER:
        raise ServerKeyNeeded("A write key may only send events; this needs a server key.")
    return access


def keys_of(request: HttpRequest, *, body_key: str | None = None) -> Iterator[str]:
    if body_key:
        yield body_key
    scheme, _, credentials = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    credentials = credentials.strip()
    if not credentials:
        return
    if scheme.lower() == "basic":
        yield from basic_user(credentials)
    elif scheme.lower() == "bearer":
        yield credentials


def basic_user(credentials: str) -> Iterator[str]:
    """The user name, with or without a colon and a password behind it."""
    try:
        user = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return
    if user:
        yield user
