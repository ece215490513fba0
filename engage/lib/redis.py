"""The connection to Redis, the names of our keys in it, and commands that travel together."""

import os
import threading
from functools import cache
from typing import Any

import redis
from django.conf import settings

Part = str | bytes | int | float


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


class Commands:
    """Commands that go to Redis in one write and come back in one read.

    The library's pipeline takes more than twice the time, which the doors for machines feel. The
    methods are the few commands they use, named and called as the library's are.
    """

    __slots__ = ("_commands",)

    def __init__(self) -> None:
        self._commands: list[tuple[Part, ...]] = []

    def __len__(self) -> int:
        return len(self._commands)

    def add(self, *command: Part) -> None:
        self._commands.append(command)

    def extend(self, others: "Commands") -> None:
        self._commands += others._commands

    def get(self, name: str) -> None:
        self.add("GET", name)

    def lrange(self, name: str, start: int, end: int) -> None:
        self.add("LRANGE", name, start, end)

    def lpush(self, name: str, *values: Part) -> None:
        self.add("LPUSH", name, *values)

    def ltrim(self, name: str, start: int, end: int) -> None:
        self.add("LTRIM", name, start, end)

    def expire(self, name: str, seconds: int) -> None:
        self.add("EXPIRE", name, seconds)

    def execute(self) -> list[Any]:
        """The answers in order; an error of one command stands in its place.

        A connection that turns out to be closed is opened again and the commands are sent once
        more, so they must be safe to run twice.

        Raises
        ------
        redis.ConnectionError, redis.TimeoutError
            Redis is away. The commands may have run or not.
        """
        connection = _own_connection()
        try:
            return self._exchange(connection)
        except redis.ConnectionError:
            connection.disconnect()
        except BaseException:
            connection.disconnect()  # unread answers would be taken for those of the next commands
            raise
        try:
            return self._exchange(connection)
        except BaseException:
            connection.disconnect()
            raise

    def _exchange(self, connection: Any) -> list[Any]:
        packed = [part for command in self._commands for part in connection.pack_command(*command)]
        # In one piece: a send for each command would cost more than everything else here.
        connection.send_packed_command([b"".join(packed)])
        return [_answer(connection) for _ in self._commands]


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as exc:
        return exc


_threads = threading.local()


def _own_connection() -> Any:
    """The connection that belongs to this thread; a child process never shares its parent's."""
    if getattr(_threads, "pid", None) != os.getpid():
        _threads.connection = client().connection_pool.make_connection()
        _threads.pid = os.getpid()
    return _threads.connection
