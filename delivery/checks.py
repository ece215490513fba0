"""At start: what the channels are told must be usable."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from delivery.errors import ChannelNotConfigured


def check_channels(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """A channel that is not set up is fine; one that is set up wrongly is not."""
    from delivery.channels import fcm, sms, smtp  # only commands that check need these libraries

    problems: list[CheckMessage] = []
    if settings.CA_FILE and not Path(settings.CA_FILE).is_file():
        problems.append(Error("ENGAGE_CA_FILE: there is no such file", id="delivery.E001"))
    try:
        if settings.SMTP_URL:
            smtp.parse_url(settings.SMTP_URL)
    except ChannelNotConfigured as exc:
        problems.append(Error(exc.message, id="delivery.E002"))
    try:
        if settings.FCM_CREDENTIALS_FILE:
            fcm.read_account(settings.FCM_CREDENTIALS_FILE)
    except ChannelNotConfigured as exc:
        problems.append(Error(exc.message, id="delivery.E003"))
    if not settings.FCM_URL.startswith("https://"):
        problems.append(Error("ENGAGE_FCM_URL: must begin with https://", id="delivery.E004"))
    try:
        if settings.SMS_ACCOUNT or settings.SMS_TOKEN or settings.SMS_FROM:
            sms.read_account()
    except ChannelNotConfigured as exc:
        problems.append(Error(exc.message, id="delivery.E006"))
    if settings.SEND_LEASE_SECONDS <= 2 * settings.PROVIDER_TIMEOUT_SECONDS:
        problems.append(
            Error(
                "ENGAGE_SEND_LEASE_SECONDS: must be more than twice"
                " ENGAGE_PROVIDER_TIMEOUT_SECONDS, or no call fits into a lease",
                id="delivery.E005",
            )
        )
    return problems
