"""At start: what the channels are told must be usable."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from delivery import esps
from delivery.errors import ChannelNotConfigured
from delivery.hooks import signed

SHORTEST_PASSWORD: Final = 16
SNS_TOPIC: Final = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")


def check_channels(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """A channel that is not set up is fine; one that is set up wrongly is not."""
    # Only commands that check need these libraries.
    from delivery.channels import apns, dkim, fcm, sms, smtp_server, web_push

    problems: list[CheckMessage] = []
    if settings.CA_FILE and not Path(settings.CA_FILE).is_file():
        problems.append(Error("ENGAGE_CA_FILE: there is no such file", id="delivery.E001"))
    accounts: Sequence[tuple[str, Callable[[], object], str]] = (
        (settings.SMTP_URL, partial(smtp_server.parse_url, settings.SMTP_URL), "E002"),
        (
            settings.FCM_CREDENTIALS_FILE,
            partial(fcm.read_account, settings.FCM_CREDENTIALS_FILE),
            "E003",
        ),
        (
            settings.APNS_KEY_FILE
            or settings.APNS_KEY_ID
            or settings.APNS_TEAM_ID
            or settings.APNS_TOPIC,
            apns.read_account,
            "E007",
        ),
        (settings.VAPID_KEY_FILE or settings.VAPID_SUBJECT, web_push.read_account, "E008"),
        (
            settings.SMS_ACCOUNT or settings.SMS_TOKEN or settings.SMS_FROM,
            sms.read_account,
            "E006",
        ),
        (settings.ESP_KEY, esps.make_backend, "E010"),
        (
            settings.DKIM_KEY_FILE or settings.DKIM_SELECTOR or settings.DKIM_DOMAIN,
            dkim.read_signer,
            "E012",
        ),
    )
    for is_wanted, read, number in accounts:
        try:
            if is_wanted:
                read()
        except ChannelNotConfigured as exc:
            problems.append(Error(exc.message, id=f"delivery.{number}"))
    for name, url, number in (
        ("ENGAGE_FCM_URL", settings.FCM_URL, "E004"),
        ("ENGAGE_APNS_URL", settings.APNS_URL, "E009"),
    ):
        if not url.startswith("https://"):
            problems.append(Error(f"{name}: must begin with https://", id=f"delivery.{number}"))
    problems += [Error(problem, id="delivery.E011") for problem in _find_hook_problems()]
    if settings.SEND_LEASE_SECONDS <= 2 * settings.PROVIDER_TIMEOUT_SECONDS:
        problems.append(
            Error(
                "ENGAGE_SEND_LEASE_SECONDS: must be more than twice"
                " ENGAGE_PROVIDER_TIMEOUT_SECONDS, or no call fits into a lease",
                id="delivery.E005",
            )
        )
    return problems


def _find_hook_problems() -> Iterator[str]:
    if settings.HOOK_SECRET:
        try:
            signed.read_secret(settings.HOOK_SECRET)
        except ValueError as exc:
            yield f"ENGAGE_HOOK_SECRET: {exc}, as in whsec_ and base64 of random bytes"
    for pair in settings.ANYMAIL_WEBHOOK_SECRET:
        user, colon, password = pair.partition(":")
        if not (user and colon and len(password) >= SHORTEST_PASSWORD):
            yield (
                "ENGAGE_ANYMAIL_WEBHOOK_SECRET: expected user:password, the password of at least"
                f" {SHORTEST_PASSWORD} characters"
            )
    for topic in settings.SNS_TOPICS:
        if not SNS_TOPIC.fullmatch(topic):
            yield (
                f"ENGAGE_SNS_TOPICS: {topic!r} names no topic, expected"
                " arn:aws:sns:REGION:ACCOUNT:NAME, several separated by commas"
            )
    if esps.may_hear():
        try:
            esps.make_view()
        except (ImproperlyConfigured, ValueError) as exc:
            why = " ".join(str(exc).split())
            yield f"ENGAGE_ESP_HOOK_KEY cannot be used with {settings.EMAIL_ESP}: {why}"
    if settings.ESP_URL and not settings.ESP_URL.startswith("https://"):
        yield "ENGAGE_ESP_URL: must begin with https://"
