"""The Segment format: a batch of events, or one event whose kind the path says."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from django.conf import settings
from msgspec import Raw, Struct, field

from engage.collector import careful
from engage.collector.careful import Malformed, Unstorable
from engage.collector.errors import InvalidBatch, InvalidBody, TooManyEvents
from engage.collector.formats.event import (
    NOBODY,
    Batch,
    Event,
    Moment,
    Object,
    Rejection,
    Word,
    all_good,
    fault,
    from_object,
    id_of,
    moment_of,
    object_of,
    reject,
)

KINDS: Final = {
    "batch": "batch", "b": "batch",
    "track": "track", "t": "track",
    "identify": "identify", "i": "identify",
    "page": "page", "p": "page",
    "screen": "screen", "s": "screen",
    "group": "group", "g": "group",
    "alias": "alias", "a": "alias",
}  # fmt: skip
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
NUL: Final = b"\\u0000"
NOTHING: Final[list[Rejection]] = []
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Many(Struct, gc=False):
    """The body of /v1/batch. Its own ids stand for events that have none."""

    batch: list[Event]
    context: Object | None = None
    sent_at: Moment = field(default=None, name="sentAt")
    write_key: str | None = field(default=None, name="writeKey")
    user_id: Word = field(default=None, name="userId")
    anonymous_id: Word = field(default=None, name="anonymousId")


class One(Event, gc=False):
    """The body of /v1/track and its like."""

    write_key: str | None = field(default=None, name="writeKey")


class Unread(Struct, gc=False):
    """The events of a batch as bytes, to see how large each is."""

    batch: list[Raw]


decode_many = msgspec.json.Decoder(Many).decode
decode_one = msgspec.json.Decoder(One).decode
decode_unread = msgspec.json.Decoder(Unread).decode


def parse(body: bytes, *, kind: str) -> Batch:
    """The events of a body. The same body gives the same batch, at the door and at ingest.

    Raises
    ------
    InvalidBody, InvalidBatch, TooManyEvents
        Nothing of the body can be taken.
    """
    if body.startswith(BYTE_ORDER_MARK):
        body = body[len(BYTE_ORDER_MARK) :]
    try:
        return parse_batch(body) if kind == "batch" else parse_one(body, kind=kind)
    except Malformed as exc:
        raise InvalidBody("The body is not JSON.", detail=str(exc)) from exc


# --- one event -------------------------------------------------------------------------------


def parse_one(body: bytes, *, kind: str) -> Batch:
    try:
        if has_nul(body) or len(body) > settings.EVENT_MAX_BYTES:
            return parse_one_with_care(body, kind=kind)
        event = decode_one(body)
    except UNREADABLE:
        return parse_one_with_care(body, kind=kind)
    event.type = kind
    code = fault(event)
    if code is None:
        return Batch([event], [], event.write_key, event.sent_at)
    return Batch([], [reject(0, code)], event.write_key, event.sent_at)


def parse_one_with_care(body: bytes, *, kind: str) -> Batch:
    parts = careful.members(body)
    event = read_event(body)
    if isinstance(event, Event):
        event.type = kind
        event = fault(event) or event
    taken, rejected = ([], [reject(0, event)]) if isinstance(event, str) else ([event], [])
    return Batch(taken, rejected, read_key(parts))


# --- many ------------------------------------------------------------------------------------


def parse_batch(body: bytes) -> Batch:
    try:
        # A body of 32 KB has no event of more.
        if has_nul(body) or (len(body) > settings.EVENT_MAX_BYTES and has_large_event(body)):
            return parse_batch_with_care(body)
        many = decode_many(body)
    except UNREADABLE:
        return parse_batch_with_care(body)
    check_count(many.batch)
    if all_good(many.batch):
        taken, rejected = many.batch, NOTHING
    else:
        taken, rejected = sort_out(many.batch, own=(many.user_id, many.anonymous_id))
    return Batch(taken, rejected, many.write_key, many.sent_at, many.context)


def has_nul(body: bytes) -> bool:
    return b"\\" in body and NUL in body  # the first search is thirty times as fast


def has_large_event(body: bytes) -> bool:
    return any(len(raw) > settings.EVENT_MAX_BYTES for raw in decode_unread(body).batch)


def check_count(events: Sequence[object]) -> None:
    if len(events) > settings.BATCH_MAX_EVENTS:
        most = settings.BATCH_MAX_EVENTS
        raise TooManyEvents(f"The batch has {len(events):,} events; at most {most:,} are taken.")


def parse_batch_with_care(body: bytes) -> Batch:
    """Each event by itself, so that a bad one does no harm to its neighbours."""
    parts = careful.members(body)
    raw = parts.get("batch", b"").strip()
    if not raw.startswith(b"["):
        raise InvalidBatch("The body needs its events as a list in batch.")
    raws = careful.split(raw)
    check_count(raws)
    try:
        said = {name: read_member(parts, name) for name in ("context", "userId", "anonymousId")}
        context = object_of(said["context"])
        own = id_of(said["userId"]), id_of(said["anonymousId"])
    except Unstorable as exc:  # what is said for all cannot be kept, so no event can
        rejected = [reject(index, exc.code) for index in range(len(raws))]
        return Batch([], rejected, read_key(parts))
    taken, rejected = sort_out((read_event(each) for each in raws), own=own)
    sent_at = read_sent_at(parts)
    return Batch(taken, rejected, read_key(parts), sent_at, context)


def sort_out(
    events: Iterable[Event | str], *, own: tuple[Word, Word]
) -> tuple[list[Event], list[Rejection]]:
    taken: list[Event] = []
    rejected: list[Rejection] = []
    for index, event in enumerate(events):
        if isinstance(event, str):
            rejected.append(reject(index, event))
            continue
        if event.user_id in NOBODY and event.anonymous_id in NOBODY:
            event.user_id, event.anonymous_id = own
        if code := fault(event):
            rejected.append(reject(index, code))
        else:
            taken.append(event)
    return taken, rejected


def read_event(raw: bytes) -> Event | str:
    """The event, or the code of the reason why it cannot be read."""
    if len(raw.strip()) > settings.EVENT_MAX_BYTES:
        return "event_too_large"
    try:
        return from_object(careful.read(raw))
    except Unstorable as exc:
        return exc.code


def read_member(parts: dict[str, bytes], name: str) -> Any:
    return careful.read(parts[name]) if name in parts else None


def read_sent_at(parts: dict[str, bytes]) -> Moment:
    try:
        return moment_of(read_member(parts, "sentAt"))
    except Unstorable:
        return None


def read_key(parts: dict[str, bytes]) -> str | None:
    try:
        key = read_member(parts, "writeKey")
    except Unstorable:
        return None
    return key if isinstance(key, str) else None
