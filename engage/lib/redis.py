"""The connection to Redis, the names of our keys in it, and commands that travel together."""

import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import redis
from django.conf import settings
from hiredis import ProtocolError, Reader, pack_command

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

    The library's pipeline takes several times as long, which the doors for machines feel. The
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

    def execute(self, *, meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """The answers in order; an error of one command stands in its place.

        `meanwhile` is called once the commands are under way, and its time is not lost: Redis may
        have to wait for its disk. A connection that turns out to be closed is opened again and the
        commands are sent once more, so they must be safe to run twice; so must `meanwhile`.

        Raises
        ------
        redis.ConnectionError, redis.TimeoutError
            Redis is away. The commands may have run or not.
        """
        # In one piece: a write for each command would cost more than everything else here.
        packed = b"".join(pack_command(one) for one in self._commands)  # type: ignore[arg-type]
        link = _own_link()
        try:
            return link.exchange(packed, answers=len(self._commands), meanwhile=meanwhile)
        except redis.ConnectionError:
            return link.exchange(packed, answers=len(self._commands), meanwhile=meanwhile)


class _Link:
    """A connection that belongs to one thread.

    The library opens it, with all that an address may ask for. Then bytes go and come without it:
    it takes more time for each answer than all else here together.
    """

    def __init__(self) -> None:
        pool = client().connection_pool
        # Version 2 of the protocol: the server never speaks without being asked.
        options = pool.connection_kwargs | {"protocol": 2}
        self._connection: Any = pool.connection_class(**options)
        self._reader: Any = Reader()

    def exchange(
        self, packed: bytes, *, answers: int, meanwhile: Callable[[], None] | None = None
    ) -> list[Any]:
        """Send, and read so many answers. After any failure the connection is closed."""
        try:
            return self._exchange(packed, answers, meanwhile)
        except BaseException as exc:
            # Unread answers would be taken for those of the next commands.
            self._connection.disconnect()
            if isinstance(exc, TimeoutError):
                raise redis.TimeoutError("Redis did not answer in time") from exc
            if isinstance(exc, OSError | ProtocolError):
                raise redis.ConnectionError(f"the connection to Redis broke: {exc}") from exc
            raise

    def _exchange(
        self, packed: bytes, answers: int, meanwhile: Callable[[], None] | None
    ) -> list[Any]:
        if self._connection._sock is None:
            self._connection.connect()
            self._reader = Reader(replyError=redis.ResponseError)
        self._connection._sock.sendall(packed)
        if meanwhile is not None:
            meanwhile()
        found: list[Any] = []
        while len(found) < answers:
            received = self._connection._sock.recv(65_536)
            if not received:
                raise ConnectionResetError("it was closed")
            self._reader.feed(received)
            while (answer := self._reader.gets()) is not False:
                found.append(answer)
        return found


_threads = threading.local()


def _own_link() -> _Link:
    """This thread's; a child process never shares its parent's."""
    if getattr(_threads, "pid", None) != os.getpid():
        _threads.link = _Link()
        _threads.pid = os.getpid()
    link: _Link = _threads.link
    return link
