"""What takes long and is under way now: told to Redis by whoever does it, shown in the admin.

A hint and not the truth. While Redis is away the work goes on untold, and what a killed process
told is forgotten.
"""

import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from redis import RedisError

from engage.lib import clock
from engage.lib.redis import client, key

logger = logging.getLogger(__name__)
EVERY_SECONDS: Final = 0.5
LONGEST_TITLE: Final = 200
KEPT_SECONDS: Final = 120  # without a word, then it counts as killed


class Tell(Protocol):
    def __call__(self, share: float, step: str = "", /) -> None:
        """So much is done, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    key: str
    title: str
    permission: str  # of those who may see it
    share: float
    step: str = ""
    url: str = ""


@contextmanager
def telling(title: str, *, permission: str, key: str = "") -> Iterator[Tell]:
    """Hand out what tells how much of a work is done; the end of the block ends the work."""
    board = _Board(key or uuid.uuid4().hex, title, permission)
    board.tell(0.0)
    try:
        yield board.tell
    finally:
        board.forget()


def list_under_way(*, now: datetime) -> list[Work]:
    """What was told lately, by key; nothing while Redis is away."""
    try:
        found = client().hgetall(_name())
    except (RedisError, OSError):
        return []
    told = [json.loads(value) for value in found.values()]
    oldest = clock.to_millis(now) - KEPT_SECONDS * 1_000
    works = [Work(**one["work"]) for one in told if one["told_ms"] >= oldest]
    return sorted(works, key=lambda work: work.key)


class _Board:
    """Writes about one work, now and then; after the first failure no more."""

    def __init__(self, name: str, title: str, permission: str) -> None:
        # A file's name may be in no encoding, and as long as a path.
        self.title = title[:LONGEST_TITLE].encode("utf-8", "replace").decode()
        self.name, self.permission = name, permission
        self.heard = float("-inf")
        self.step: str | None = None
        self.away = False

    def tell(self, share: float, step: str = "", /) -> None:
        if step == self.step and time.monotonic() - self.heard < EVERY_SECONDS:
            return
        self.heard, self.step = time.monotonic(), step
        work = Work(
            key=self.name, title=self.title, permission=self.permission, share=share, step=step
        )
        told = {"told_ms": clock.to_millis(clock.now()), "work": asdict(work)}
        self._send("hset", _name(), self.name, json.dumps(told))
        self._send("expire", _name(), KEPT_SECONDS)

    def forget(self) -> None:
        self._send("hdel", _name(), self.name)

    def _send(self, command: str, *parts: Any) -> None:
        if self.away:
            return
        try:
            getattr(client(), command)(*parts)
        except (RedisError, OSError):
            self.away = True
            logger.warning("progress is not told: Redis is away", extra={"work": self.name})


def _name() -> str:
    return key("under_way")
