"""Hooks of e-mail services, read and checked by django-anymail."""

import json
from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from anymail.exceptions import (
    AnymailConfigurationError,
    AnymailError,
    AnymailWebhookValidationFailure,
)
from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from redis import RedisError

from delivery import esps
from delivery.errors import ForgedReceipt
from delivery.receipts import Kind, Said, find_key
from engage.lib import redis
from engage.lib.errors import InvalidInput, Unavailable

KINDS: Final = {
    "delivered": Kind.DELIVERED,
    "bounced": Kind.BOUNCED,
    "complained": Kind.COMPLAINED,
    "unsubscribed": Kind.OPTED_OUT,
    "failed": Kind.FAILED,
    "rejected": Kind.FAILED,
}
# The service itself refused, because of what it knows of the address.
REJECTED: Final = {
    "invalid": Kind.BOUNCED,
    "bounced": Kind.BOUNCED,
    "spam": Kind.COMPLAINED,
    "unsubscribed": Kind.OPTED_OUT,
}
LONGEST_AGE_SECONDS: Final = 86_400  # it repeats what was not taken for eight hours
# Where services say that a bounce is not for good; anymail calls both "bounced" (seen in 15.2).
SOFT: Final = {"softbounce", "soft_bounce", "soft_bounced", "blocked", "transient", "undetermined"}
# What anymail's readers run into: a hook of another kind, no JSON, nested without end, a time that
# no calendar has, a field that is missing or something else.
UNREADABLE: Final = (
    AnymailConfigurationError, AnymailError, ValueError, RecursionError, ArithmeticError,
    LookupError, TypeError, AttributeError,
    BadRequest, SuspiciousOperation, MultiPartParserError,  # of a form, which Mailgun once sent
)  # fmt: skip


def read(request: HttpRequest, *, now: datetime) -> list[Said]:
    """Raises ForgedReceipt, InvalidInput for what the service would not write, and Unavailable."""
    view = esps.make_view()
    try:
        view.run_validators(request)
        if settings.EMAIL_ESP == "mailgun" and settings.ESP_HOOK_KEY:
            check_replay(request, now=now)
        events = view.parse_events(request)
        return list(_read(events, now=now))
    except AnymailWebhookValidationFailure as exc:
        raise ForgedReceipt("This is not from the e-mail service.") from exc
    except UNREADABLE as exc:
        raise InvalidInput("The receipt cannot be read.") from exc


def check_replay(request: HttpRequest, *, now: datetime) -> None:
    """Mailgun signs a time and a token, not what it says: one signature would do for any lie.

    So a signature is good for a time, and for the one body that it came with. The same again is
    let through: it may be of a call that we could not take, and receipts are written once.
    """
    if request.content_type != "application/json":  # a form says its time in another place
        raise InvalidInput("Mailgun's receipts are JSON.")
    signed = json.loads(request.body)["signature"]
    if not abs(now.timestamp() - float(signed["timestamp"])) <= LONGEST_AGE_SECONDS:
        raise ForgedReceipt("The time of the signature is long past.")
    if not is_first_body(signed["signature"], request.body):
        raise ForgedReceipt("The signature came with something else before.")


def is_first_body(signature: str, body: bytes) -> bool:
    """Remembered for as long as any time of a signature is accepted, also one of a clock ahead.

    Time and token say less than the signature: the same letters can be divided in two ways.
    """
    name, said = redis.key("hook", signature), blake2b(body, digest_size=16).digest()
    try:
        new = redis.client().set(name, said, nx=True, ex=2 * LONGEST_AGE_SECONDS)
        return bool(new) or redis.client().get(name) == said
    except RedisError as exc:
        raise Unavailable("Nobody knows what came before. Send again later.") from exc


def _read(events: Any, *, now: datetime) -> Iterator[Said]:
    for event in events:
        kind = KINDS.get(event.event_type)
        if kind is None:  # opened, clicked, queued: we count those ourselves, or need them not
            continue
        if event.event_type == "rejected":
            kind = REJECTED.get(event.reject_reason, kind)
        if kind == Kind.BOUNCED and is_soft(event.esp_event):
            kind = Kind.FAILED
        yield Said(
            provider=settings.EMAIL_ESP,
            channel="email",
            kind=kind,
            ts=event.timestamp or now,
            key=find_key((event.metadata or {}).get("key")),
            provider_id=str(event.message_id or "")[:255],
            address=str(event.recipient or ""),
            detail=str(event.reject_reason or event.event_type),
            event=str(event.event_id or ""),
        )


def is_soft(said: Any) -> bool:
    bounce = said.get("bounce") if isinstance(said.get("bounce"), dict) else {}
    places = (said.get("Type"), said.get("type"), said.get("event"), bounce.get("bounceType"))
    return any(str(word).lower() in SOFT for word in places)
