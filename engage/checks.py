"""What would go wrong quietly, said at the start. `manage.py check --deploy` shows all of it."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.checks.registry import registry

from engage.lib import redis as our_redis

ROOMS = {"engage", "catalog", "recommendations", "delivery", "campaigns"}
AT_HOME = {"localhost", "127.0.0.1", "::1"}


@register(Tags.compatibility)
def check_driver(app_configs: Sequence[Any] | None, **kwargs: object) -> list[CheckMessage]:
    """Django would take psycopg 3 instead of psycopg2 without a word: COPY and arrays differ."""
    if find_spec("psycopg") is None:
        return []
    return [
        Error(
            "psycopg 3 is installed, and Django would use it instead of psycopg2.",
            hint="Remove it (pip uninstall psycopg): Engage is written for psycopg2.",
            id="engage.E001",
        )
    ]


@register(Tags.security)
def check_hosts(app_configs: Sequence[Any] | None, **kwargs: object) -> list[CheckMessage]:
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    allowed = settings.ALLOWED_HOSTS
    if "*" in allowed or host in AT_HOME or any(matches(host, name) for name in allowed):
        return []
    return [
        Warning(
            f"ENGAGE_PUBLIC_URL leads to {host}, which is not in ENGAGE_ALLOWED_HOSTS.",
            hint="Links in messages will be refused: add the host to ENGAGE_ALLOWED_HOSTS.",
            id="engage.W001",
        )
    ]


@register(Tags.security, deploy=True)
def check_https(app_configs: Sequence[Any] | None, **kwargs: object) -> list[CheckMessage]:
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme == "https" or parts.hostname in AT_HOME:
        return []
    return [
        Warning(
            f"ENGAGE_PUBLIC_URL is {settings.PUBLIC_URL}: links and cookies travel unencrypted.",
            hint="Put a proxy with TLS in front and set ENGAGE_PUBLIC_URL to its https address.",
            id="engage.W002",
        )
    ]


@register(Tags.database, deploy=True)
def check_redis(app_configs: Sequence[Any] | None, **kwargs: object) -> list[CheckMessage]:
    """Our own Redis is started as it should be; somebody else's may forget what it was given."""
    if settings.EMBEDDED_REDIS:
        return []
    try:
        facts = {name: ask(name) for name in WANTED}
    except redis.RedisError as exc:
        return [
            Warning(
                f"The Redis of REDIS_URL does not tell its settings ({type(exc).__name__}).",
                hint="Events are safe only with " + ", ".join(" ".join(w) for w in WANTED.items()),
                id="engage.W003",
            )
        ]
    return [
        Warning(
            f"The Redis of REDIS_URL runs with {name} {value or 'unknown'}.",
            hint=f"Set {name} {WANTED[name]}: {REASONS[name]}.",
            id="engage.W004",
        )
        for name, value in facts.items()
        if value != WANTED[name]
    ]


WANTED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
REASONS = {
    "appendonly": "without it a restart loses every event that was not stored yet",
    "appendfsync": "otherwise a power cut loses events that were acknowledged",
    "maxmemory-policy": "otherwise a full Redis throws waiting events away",
}


def ask(name: str) -> str:
    found: dict[Any, Any] = our_redis.client().config_get(name)
    value = found.get(name.encode(), found.get(name, b""))
    return value.decode() if isinstance(value, bytes) else str(value)


def matches(host: str, allowed: str) -> bool:
    return host == allowed or (allowed.startswith(".") and f".{host}".endswith(allowed))


def list_messages() -> list[CheckMessage]:
    """Those of our rooms, for the start of the runner: Django's own are for `manage.py check`."""
    found = registry.get_checks(include_deployment_checks=True)
    ours = [check for check in found if check.__module__.partition(".")[0] in ROOMS]
    messages = [message for check in ours for message in check(app_configs=None, databases=None)]
    return sorted(messages, key=lambda message: str(message.id))
