"""Receivers of webhooks and their secrets, which are worked out anew each time."""

import base64
import logging
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Min, QuerySet

from delivery import suppression
from delivery.models import Message, SendAttempt, WebhookEndpoint
from engage.lib.signing import derive_keys

logger = logging.getLogger(__name__)

PREFIX: Final = "whsec_"  # as Standard Webhooks writes secrets
OLD_SECRET_LASTS: Final = timedelta(hours=24)
DISABLED: Final = "endpoint_disabled"  # why a message is suppressed
# Why an endpoint is disabled.
BY_HAND: Final = "by hand"
GONE: Final = "the receiver answered 410 Gone"
AWAY: Final = "it took nothing for three days"


def list_secrets(endpoint: WebhookEndpoint, *, now: datetime) -> list[str]:
    """Those that sign now, the present one first.

    For a day after a rotation the one before signs, too; and while SECRET_KEY_FALLBACKS has former
    keys of ours, so do the secrets that came of those.
    """
    versions = [endpoint.version]
    if endpoint.rotated_at and now < endpoint.rotated_at + OLD_SECRET_LASTS:
        versions.append(endpoint.version - 1)
    return [
        PREFIX + base64.b64encode(key).decode()
        for version in versions
        for key in derive_keys(f"webhook {endpoint.pk} {version}")
    ]


def rotate(endpoint: WebhookEndpoint, *, now: datetime) -> None:
    """A new secret; who rotates twice within a day ends the first one early."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(version=F("version") + 1, rotated_at=now)
    endpoint.refresh_from_db()


def disable_url(url: str, *, reason: str, now: datetime) -> None:
    """Nothing goes to the receiver until somebody enables it again. Safe to run twice.

    Nobody pressed a button: the log says so, and the first page of the admin.
    """
    if WebhookEndpoint.objects.filter(url=url, disabled_at=None).update(
        disabled_at=now, reason=reason
    ):
        logger.warning("webhook endpoint disabled", extra={"reason": reason})


def disable_if_away(message: Message, url: str, *, now: datetime) -> None:
    """After the last call for a message: disable its receiver, unless it took another one since
    the first call. Then it is there, and the message is at fault. Safe to run twice."""
    # Not the calls of before it was sent again: what a receiver took between counts for nothing.
    calls = SendAttempt.objects.filter(
        profile_id=message.profile_id, message_id=message.id, attempt__gt=message.calls_before
    )
    first = calls.aggregate(at=Min("started_at"))["at"] or now
    taken = Message.objects.filter(
        channel="webhook",
        state=Message.State.ACCEPTED,
        address_digest=suppression.digest(url, channel="webhook"),
        finished_at__gte=first,
    )
    if not taken.exists():
        disable_url(url, reason=AWAY, now=now)


def list_disabled_by_themselves() -> "QuerySet[WebhookEndpoint]":
    """Those that nobody disabled by hand: somebody should know."""
    return WebhookEndpoint.objects.exclude(disabled_at=None).exclude(reason=BY_HAND)


def disable(endpoint: WebhookEndpoint, *, reason: str, now: datetime) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk, disabled_at=None).update(
        disabled_at=now, reason=reason
    )
    endpoint.refresh_from_db()


def enable(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(disabled_at=None, reason="")
    endpoint.refresh_from_db()
