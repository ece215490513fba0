"""What an app sends when it opens: who, on what device, and the events it kept meanwhile.

The body becomes a batch of the collector's own format, so that every rule for events holds here
too, and one bad event does not cost the others or the answer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from engage.collector import careful
from engage.collector.careful import Malformed, Unstorable
from engage.collector.errors import InvalidBody
from engage.collector.formats import segment
from engage.collector.formats.event import Batch, id_of, moment_of, object_of, word
from engage.lib.errors import InvalidInput

LAUNCHED = "App Launched"
TELLS_LAUNCH = re.compile(rb'"event"\s*:\s*"App Launched"')  # the app counts its launches itself
MOST_SEEN = 200  # ids that an app may say it holds
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
decode_list = msgspec.json.Decoder(list[Raw]).decode
decode_value = msgspec.json.Decoder().decode


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


def parse(body: bytes) -> LaunchBody:
    """The parts of a body.

    Raises
    ------
    InvalidBody, InvalidBatch, TooManyEvents, InvalidInput
        Nothing can be taken.
    """
    parts = _members(body.removeprefix(segment.BYTE_ORDER_MARK))
    said = _Said(parts)
    events = _events(parts.get("batch"))
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
        user_id=said.user_id,
        anonymous_id=said.anonymous_id,
        seen=said.seen,
    )


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


class _Said:
    """The members beside the events, read; every bad one is named at once."""

    def __init__(self, parts: Mapping[str, bytes]) -> None:
        self.parts = parts
        self.problems: list[str] = []
        self.user_id = self.read("userId", id_of, "a text or a whole number") or ""
        self.anonymous_id = self.read("anonymousId", id_of, "a text or a whole number") or ""
        self.user_id, self.anonymous_id = word(self.user_id), word(self.anonymous_id)
        self.message_id = word(self.read("messageId", id_of, "a text"))
        self.sent_at = self.read("sentAt", moment_of, "a time")
        self.context = self.read("context", object_of, "an object") or {}
        self.device = self.read("device", object_of, "an object") or {}
        self.seen = self.read("seen", _ids, f"a list of at most {MOST_SEEN} texts")
        key = self.read("writeKey", lambda value: value, "a text")
        self.write_key = key if isinstance(key, str) else None
        if self.problems:
            raise InvalidInput("; ".join(self.problems))

    def read(self, name: str, check: Any, expected: str) -> Any:
        raw = self.parts.get(name)
        if raw is None:
            return None
        try:
            value = careful.read(raw) if b"\\u" in raw or len(raw) > 200 else _read(raw)
            return check(value)
        except (Unstorable, Malformed) as exc:
            reason = f" ({exc.code})" if isinstance(exc, Unstorable) else ""
            self.problems.append(f"{name}: expected {expected}{reason}")
            return None

    def own_id(self) -> dict[str, str]:
        return {"messageId": self.message_id} if self.message_id else {}

    def for_all(self) -> bytes:
        """What holds for every event; the device stands in the context, where SDKs put it."""
        context = dict(self.context)
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


def _read(raw: bytes) -> Any:
    """Fast, for short values without escapes: those cannot hide what could not be stored."""
    try:
        return decode_value(raw)
    except UNREADABLE:
        return careful.read(raw)


def _ids(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST_SEEN:
        raise Malformed("not a list of ids")
    if not all(isinstance(one, str) for one in value):
        raise Malformed("not a list of ids")
    return value
