"""Receivers of webhooks and their secrets, which are worked out anew each time."""

import base64
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F

from delivery.models import WebhookEndpoint
from engage.lib.signing import derive_keys

PREFIX: Final = "whsec_"  # as Standard Webhooks writes secrets
OLD_SECRET_LASTS: Final = timedelta(hours=24)


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
    """Nothing goes to the receiver until somebody enables it again. Safe to run twice."""
    WebhookEndpoint.objects.filter(url=url, disabled_at=None).update(
        disabled_at=now, reason=reason
    )


def disable(endpoint: WebhookEndpoint, *, reason: str, now: datetime) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk, disabled_at=None).update(
        disabled_at=now, reason=reason
    )
    endpoint.refresh_from_db()


def enable(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(disabled_at=None, reason="")
    endpoint.refresh_from_db()
