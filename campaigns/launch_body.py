"""What an app sends when it opens: who, on what device, and the events it kept meanwhile.

The body becomes a batch of the collector's own format, so that every rule for events holds here
too, and one bad event does not cost the others or the answer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct, field

from engage.collector import careful
from engage.collector.careful import Malformed, Unstorable
from engage.collector.errors import InvalidBody
from engage.collector.formats import segment
from engage.collector.formats.event import (
    Batch,
    Moment,
    Object,
    Word,
    id_of,
    moment_of,
    object_of,
    word,
)
from engage.lib.errors import InvalidInput

LAUNCHED = "App Launched"
TELLS_LAUNCH = re.compile(rb'"event"\s*:\s*"App Launched"')  # the app counts its launches itself
MOST_SEEN = 200  # ids that an app may say it holds
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
decode_list = msgspec.json.Decoder(list[Raw]).decode


@dataclass(frozen=True, slots=True)
class LaunchBody:
    """`body` is the batch as the stream will keep it; `batch` is what was read from it.

    `asked` is how many events the app sent: a rejection at that place is our own App Launched.
    """

    body: bytes
    batch: Batch
    asked: int
    write_key: str | None
    user_id: str
    anonymous_id: str
    seen: Sequence[str] | None


class Said(Struct, gc=False):
    """The body of a launch, its events unread."""

    batch: list[Raw] | None = None
    user_id: Word = field(default=None, name="userId")
    anonymous_id: Word = field(default=None, name="anonymousId")
    message_id: Word = field(default=None, name="messageId")
    sent_at: Moment = field(default=None, name="sentAt")
    context: Object | None = None
    device: Object | None = None
    seen: Annotated[list[str], Meta(max_length=MOST_SEEN)] | None = None
    write_key: str | None = field(default=None, name="writeKey")

    def __post_init__(self) -> None:
        self.user_id, self.anonymous_id = word(self.user_id or ""), word(self.anonymous_id or "")
        self.message_id = word(self.message_id)

    def own_id(self) -> dict[str, Word]:
        return {"messageId": self.message_id} if self.message_id else {}

    def for_all(self) -> bytes:
        """What holds for every event; the device stands in the context, where SDKs put it."""
        context = dict(self.context or {})
        if self.device:
            inside = context.get("device")
            context["device"] = (inside if isinstance(inside, dict) else {}) | self.device
        members = {
            "context": context,
            "sentAt": self.sent_at,
            "userId": self.user_id or None,
            "anonymousId": self.anonymous_id or None,
        }
        return msgspec.json.encode(members)[1:-1]


decode_said = msgspec.json.Decoder(Said).decode


def parse(body: bytes) -> LaunchBody:
    """The parts of a body.

    Raises
    ------
    InvalidBody, InvalidBatch, TooManyEvents, InvalidInput
        Nothing can be taken.
    """
    said = _read(body.removeprefix(segment.BYTE_ORDER_MARK))
    events = [bytes(event) for event in said.batch or ()]
    launched = []
    if not any(TELLS_LAUNCH.search(event) for event in events):
        launched = [msgspec.json.encode({"type": "track", "event": LAUNCHED, **said.own_id()})]
    batch_body = b"".join(
        [b'{"batch":[', b",".join([*events, *launched]), b"],", said.for_all(), b"}"]
    )
    return LaunchBody(
        body=batch_body,
        batch=segment.parse(batch_body, kind="batch"),
        asked=len(events),
        write_key=said.write_key,
        user_id=word(said.user_id),
        anonymous_id=word(said.anonymous_id),
        seen=said.seen,
    )


def _read(body: bytes) -> Said:
    """At once where all is as it should be; else member by member, to say what is not."""
    try:
        return _read_with_care(body) if segment.has_nul(body) else decode_said(body)
    except UNREADABLE:
        return _read_with_care(body)


def _members(body: bytes) -> Mapping[str, bytes]:
    """The members of the outermost object, unread, however odd what is inside them."""
    try:
        return {name: bytes(raw) for name, raw in decode_members(body).items()}
    except UNREADABLE:
        try:
            return careful.members(body)
        except Malformed as exc:
            raise InvalidBody("The body is not a JSON object.", detail=str(exc)) from exc


def _events(raw: bytes | None) -> list[bytes]:
    stripped = (raw or b"").strip()
    if stripped in {b"", b"null"}:
        return []
    if not stripped.startswith(b"["):
        raise InvalidInput("batch: expected a list of events")
    try:
        return [bytes(event) for event in decode_list(stripped)]
    except UNREADABLE:
        try:
            return careful.split(stripped)
        except Malformed as exc:
            raise InvalidBody("The events in batch are not JSON.", detail=str(exc)) from exc


def _read_with_care(body: bytes) -> Said:
    """The members beside the events are read; every bad one is named at once."""
    parts = _members(body)
    problems: list[str] = []

    def read(name: str, check: Any, expected: str) -> Any:
        if name not in parts:
            return None
        try:
            return check(careful.read(parts[name]))
        except (Unstorable, Malformed) as exc:
            reason = f" ({exc.code})" if isinstance(exc, Unstorable) else ""
            problems.append(f"{name}: expected {expected}{reason}")
            return None

    said = Said(
        user_id=read("userId", id_of, "a text or a whole number"),
        anonymous_id=read("anonymousId", id_of, "a text or a whole number"),
        message_id=read("messageId", id_of, "a text"),
        sent_at=read("sentAt", moment_of, "a time"),
        context=read("context", object_of, "an object"),
        device=read("device", object_of, "an object"),
        seen=read("seen", _ids, f"a list of at most {MOST_SEEN} texts"),
        write_key=read("writeKey", _text, "a text"),
    )
    if problems:
        raise InvalidInput("; ".join(problems))
    said.batch = [Raw(event) for event in _events(parts.get("batch"))]
    return said


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _ids(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST_SEEN:
        raise Malformed("not a list of ids")
    if not all(isinstance(one, str) for one in value):
        raise Malformed("not a list of ids")
    return value
