"""The connection to Redis and the names of our keys in it."""

from functools import cache

import redis
from django.conf import settings


@cache
def client() -> "redis.Redis":
    """One pool per process. Answers are bytes.

    Raises
    ------
    redis.ConnectionError, redis.TimeoutError
        From any call, when Redis is away; callers turn it into `Unavailable`.
    """
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
        health_check_interval=30,
    )


def key(*parts: object) -> str:
    """A key of ours: key("recent", "u", 7) is "engage:recent:u:7"."""
    return ":".join((settings.REDIS_PREFIX, *(str(part) for part in parts)))
