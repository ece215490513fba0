import threading

import pytest
from redis import Redis

from engage.collector import access, stream
from engage.lib import redis


@pytest.fixture(autouse=True)
def fresh(redis_keys):
    """No entries, no remembered keys, no remembered depth."""
    access.forget_keys()
    reset_fill()
    yield
    access.forget_keys()
    reset_fill()


def reset_fill() -> None:
    stream.Fill.entries = stream.Fill.memory = 0
    stream.Fill.unseen = stream.LOOK_EVERY_BYTES


@pytest.fixture
def write_key(db) -> str:
    return access.create_key("shop app", kind="write")


@pytest.fixture
def redis_away(monkeypatch):
    """Every new connection goes to a port where nothing listens."""
    absent = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=1)
    monkeypatch.setattr(redis, "client", lambda: absent)
    monkeypatch.setattr(redis, "_threads", threading.local())
