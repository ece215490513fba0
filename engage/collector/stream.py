"""The queue between the doors and ingest: a Redis stream, one entry for each body.

An entry leaves the stream only after its events are in PostgreSQL: the stream is never trimmed.
Where it is too deep, the doors refuse.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import redis
from django.conf import settings

from engage.collector.errors import QueueFull
from engage.lib.errors import Unavailable
from engage.lib.redis import Commands, Part, client, key

GROUP: Final = "ingest"
LOOK_EVERY_BYTES: Final = 10_000_000
MEMORY: Final = ("INFO", "memory")
USED: Final = re.compile(rb"^used_memory:(\d+)", re.MULTILINE)


class Entry(NamedTuple):
    """One body that was acknowledged."""

    id: str
    source_id: int
    received_ms: int
    form: str  # format and kind: "segment/batch"
    body: bytes
    seed: str = ""  # message ids of events without one are made from it
    deliveries: int = 1  # how often a consumer began with it, this time included


def name() -> str:
    return key("events")


# --- the doors' side -------------------------------------------------------------------------


class Fill:
    """How full the queue was when this process last looked."""

    entries = 0  # every `add` looks
    memory = 0  # bytes that Redis uses in all; asked for after LOOK_EVERY_BYTES
    unseen = LOOK_EVERY_BYTES  # bytes that this process added since


def add(
    *,
    source_id: int,
    received_ms: int,
    form: str,
    body: bytes,
    seed: str = "",
    also: Commands | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> list[Any]:
    """Put a body into the stream; it is on the disk when this returns.

    `also` goes in the same round trip; the answers to it are returned. `meanwhile` is called while
    it is under way. Safe to run twice: events are stored once by their message ids.

    Raises
    ------
    QueueFull
        The stream has STREAM_MAX_ENTRIES, Redis uses REDIS_MAX_BYTES or its memory is full;
        nothing was added.
    Unavailable
        Redis is away, or cannot write; the events may come again.
    """
    stream = name()
    refuse_when_full(stream)
    commands = Commands()
    fields: tuple[Part, ...] = ("s", source_id, "t", received_ms, "f", form, "b", body)
    if seed:
        fields += ("m", seed)
    commands.add("XADD", stream, "*", *fields)
    commands.add("XLEN", stream)
    Fill.unseen += len(body)
    if looks := Fill.unseen >= LOOK_EVERY_BYTES:
        commands.add(*MEMORY)
    if also is not None:
        commands.extend(also)
    added, entries, *answers = execute(commands, meanwhile=meanwhile)
    if looks:
        note_memory(answers.pop(0))
    if isinstance(added, redis.ResponseError):
        raise refusal_of(added) from added
    Fill.entries = entries
    return answers


def refuse_when_full(stream: str) -> None:
    """Several processes may pass at once: the bounds are exceeded by a few entries, and by what
    each process adds before it looks again.
    """
    if is_room():
        return
    commands = Commands()
    commands.add("XLEN", stream)
    commands.add(*MEMORY)
    entries, memory = execute(commands)
    if isinstance(entries, redis.ResponseError):  # it still loads its file, for one
        raise refusal_of(entries) from entries
    Fill.entries = entries
    note_memory(memory)
    if not is_room():
        raise QueueFull("Too many events wait to be stored. Send again later.")


def is_room() -> bool:
    return Fill.entries < settings.STREAM_MAX_ENTRIES and Fill.memory < settings.REDIS_MAX_BYTES


def note_memory(said: Any) -> None:
    """Note what Redis says of its memory. Where it may not say, only the entries are bounded."""
    found = USED.search(said) if isinstance(said, bytes) else None
    Fill.memory = int(found[1]) if found else 0
    Fill.unseen = 0


def execute(commands: Commands, *, meanwhile: Callable[[], None] | None = None) -> list[Any]:
    try:
        return commands.execute(meanwhile=meanwhile)
    except (redis.ConnectionError, redis.TimeoutError) as exc:
        raise Unavailable("The queue is away. Send again later.") from exc


def refusal_of(error: redis.ResponseError) -> QueueFull | Unavailable:
    if str(error).startswith("OOM"):
        return QueueFull("The queue's memory is full. Send again later.")
    return Unavailable("The queue cannot be written to. Send again later.", detail=str(error))


# --- ingest's side ---------------------------------------------------------------------------


def read_new(consumer: str, *, count: int, block_ms: int | None = None) -> list[Entry]:
    """Entries that no consumer has begun with. Redis notes that this one did, before it does."""
    streams: Any = {name(): ">"}
    try:
        answer: Any = client().xreadgroup(GROUP, consumer, streams, count=count, block=block_ms)
    except redis.ResponseError as exc:
        if "NOGROUP" not in str(exc):
            raise
        make_group()
        answer = client().xreadgroup(GROUP, consumer, streams, count=count)
    return [entry_of(raw_id, fields) for _, found in answer or () for raw_id, fields in found]


def make_group() -> None:
    """From the first entry on: what was added before any consumer lived is not left out."""
    try:
        client().xgroup_create(name(), GROUP, id="0", mkstream=True)
    except redis.ResponseError as exc:
        if "BUSYGROUP" not in str(exc):
            raise


def take_over(
    consumer: str, *, own_idle_ms: Callable[[int], int], idle_ms: int
) -> Iterator[Entry]:
    """Entries somebody began with and did not finish, one at a time; each counts as begun again.

    Own ones after `own_idle_ms(deliveries)`, those of other consumers after `idle_ms`. One at a
    time, because a crash shall count for the entry that caused it and for no other.
    """
    for pending in list_pending():
        owner = pending["consumer"].decode()
        deliveries = pending["times_delivered"]
        wait = own_idle_ms(deliveries) if owner == consumer else idle_ms
        if pending["time_since_delivered"] < wait:
            continue
        claimed: Any = client().xclaim(
            name(), GROUP, consumer, wait, [pending["message_id"]], retrycount=deliveries + 1
        )
        for raw_id, fields in claimed:
            if fields is not None:
                yield entry_of(raw_id, fields)._replace(deliveries=deliveries + 1)


def list_pending() -> list[dict[str, Any]]:
    try:
        found: Any = client().xpending_range(name(), GROUP, "-", "+", 1000)
    except redis.ResponseError as exc:
        if "NOGROUP" not in str(exc):
            raise
        return []
    return list(found)


def hold(consumer: str, entries: Sequence[Entry]) -> None:
    """The consumer still works on them: others leave them alone. It is no new delivery."""
    if entries:
        client().xclaim(name(), GROUP, consumer, 0, [entry.id for entry in entries], justid=True)


def remove(entries: Sequence[Entry]) -> None:
    """Their events are stored: take them out of the stream."""
    if not entries:
        return
    ids = [entry.id for entry in entries]
    pipe = client().pipeline(transaction=True)
    pipe.xack(name(), GROUP, *ids)
    pipe.xdel(name(), *ids)
    pipe.execute()


def entry_of(raw_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(
        id=raw_id.decode(),
        source_id=int(fields[b"s"]),
        received_ms=int(fields[b"t"]),
        form=fields[b"f"].decode(),
        body=fields[b"b"],
        seed=fields.get(b"m", b"").decode(),
    )


# --- health ----------------------------------------------------------------------------------


def health() -> dict[str, float]:
    """How many entries wait and how old the oldest is."""
    pipe = client().pipeline(transaction=False)
    pipe.xlen(name())
    pipe.xrange(name(), count=1)
    depth, oldest = pipe.execute()
    if not oldest:
        return {"oldest_seconds": 0.0, "depth": depth}
    added_ms = int(oldest[0][0].split(b"-")[0])
    return {"oldest_seconds": max(0.0, round(time.time() - added_ms / 1000, 3)), "depth": depth}


def is_durable() -> bool | None:
    """Whether what Redis acknowledged survives a power cut; None where it will not say."""
    try:
        said: Any = client().config_get("append*")
    except redis.ResponseError:
        return None
    found = {as_text(name): as_text(value) for name, value in said.items()}
    return found.get("appendonly") == "yes" and found.get("appendfsync") == "always"


def as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
