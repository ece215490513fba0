"""The e-mail services that django-anymail knows, and what ours need of it.

Anymail is imported by those who have named a service only: it is no app of ours, its signals and
its own sending are not used, only what it knows of each service.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from delivery.errors import ChannelNotConfigured


@dataclass(frozen=True, slots=True)
class Esp:
    """`key`, `hook_key`: what anymail calls the key of its API and that of signed hooks."""

    view: str  # who reads its hooks
    key: str = ""  # "": we send by SMTP only, and hear of it here
    hook_key: str = ""  # "": hooks are known by the user and password in their address


HOOKS: Final = "anymail.webhooks"
ESPS: Final = {
    "amazon_ses": Esp("delivery.hooks.sns.SesView"),
    "brevo": Esp(f"{HOOKS}.brevo.BrevoTrackingWebhookView", "api_key"),
    "mailgun": Esp(
        f"{HOOKS}.mailgun.MailgunTrackingWebhookView", "api_key", "webhook_signing_key"
    ),
    "postmark": Esp(f"{HOOKS}.postmark.PostmarkTrackingWebhookView", "server_token"),
    "sendgrid": Esp(
        f"{HOOKS}.sendgrid.SendGridTrackingWebhookView",
        "api_key",
        "tracking_webhook_verification_key",
    ),
    "sparkpost": Esp(f"{HOOKS}.sparkpost.SparkPostTrackingWebhookView", "api_key"),
}


def find_esp() -> Esp | None:
    return ESPS.get(settings.EMAIL_ESP)


def make_backend() -> Any:
    """Anymail's backend of the service. Raises ChannelNotConfigured with what to write instead."""
    esp = find_esp()
    if esp is None:
        raise ChannelNotConfigured("ENGAGE_EMAIL_ESP is not set: the e-mail service")
    if not esp.key:
        raise ChannelNotConfigured(
            f"ENGAGE_ESP_KEY: mail goes to {settings.EMAIL_ESP} by ENGAGE_SMTP_URL"
        )
    if not settings.ESP_KEY:
        raise ChannelNotConfigured("ENGAGE_ESP_KEY is not set: the key of the e-mail service")
    options: dict[str, Any] = {esp.key: settings.ESP_KEY}
    if settings.ESP_URL:
        options["api_url"] = settings.ESP_URL
    if settings.ESP_DOMAIN:
        options["sender_domain"] = settings.ESP_DOMAIN
    backend = importlib.import_module(f"anymail.backends.{settings.EMAIL_ESP}")
    return backend.EmailBackend(**options)


def may_hear() -> bool:
    """Whether hooks of the service can be told from forged ones."""
    esp = find_esp()
    signed = esp is not None and bool(esp.hook_key and settings.ESP_HOOK_KEY)
    return esp is not None and (signed or bool(settings.ANYMAIL_WEBHOOK_SECRET))


def make_view() -> Any:
    """Anymail's reader of the service's hooks, with its checks of where they come from."""
    esp = ESPS[settings.EMAIL_ESP]
    options: dict[str, Any] = {"webhook_secret": settings.ANYMAIL_WEBHOOK_SECRET}
    if esp.hook_key and settings.ESP_HOOK_KEY:
        options[esp.hook_key] = settings.ESP_HOOK_KEY
    return import_string(esp.view)(**options)
