"""An event as clients send it, and what keeps one from being taken.

The names in JSON are those of the Segment format; other formats fill the same struct.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final, TypeGuard, cast

from msgspec import Meta, Struct, field

from engage.collector.careful import MAX_DEPTH, Unstorable
from engage.profiles.identity import any_reserved, is_reserved

# JSON that PostgreSQL and numpy can hold. The fast reader checks it while it reads, at no cost;
# what does not fit, or is deeper than events usually are, is read again with care. Building the
# type takes time that doubles with each level.
USUAL_DEPTH: Final = 8
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Json: Any = bool | Whole | float | str | None
for _ in range(USUAL_DEPTH - 1):
    Json = bool | Whole | float | str | list[Json] | dict[str, Json] | None
Object: Any = dict[str, Json]
Word = str | int | None  # an id or a name, which some clients send as a number
Moment = str | int | float | None

PLAIN_KINDS: Final = frozenset({"track", "identify", "page", "screen"})
KINDS: Final = PLAIN_KINDS | {"group", "alias"}  # these need an id more
NOBODY: Final = frozenset({None, ""})
LONGEST_ID: Final = 255
LONGEST_MESSAGE_ID: Final = 100
LONGEST_NAME: Final = 200
MESSAGES: Final[Mapping[str, str]] = {
    "not_an_object": "The event is not a JSON object.",
    "unknown_type": "type must be track, identify, page, screen, group or alias.",
    "no_event_name": "A track event needs its name in event.",
    "no_identity": "userId or anonymousId is needed.",
    "no_previous_id": "An alias needs the old id in previousId.",
    "no_group_id": "A group event needs groupId.",
    "reserved_id": "An id such as null, 0, guest or undefined would join strangers.",
    "invalid_id": "An id must be a string or a whole number.",
    "id_too_long": f"An id has more than {LONGEST_ID} letters.",
    "message_id_too_long": f"messageId has more than {LONGEST_MESSAGE_ID} letters.",
    "name_too_long": f"event has more than {LONGEST_NAME} letters.",
    "event_too_large": "The event is larger than 32 KB.",
    "invalid_object": "properties, traits and context must be JSON objects.",
    "too_deep": f"The event has more than {MAX_DEPTH} containers in each other.",
    "nul_character": "A string has the character NUL, which cannot be stored.",
    "lone_surrogate": "A string has half of a surrogate pair, which cannot be stored.",
    "invalid_utf8": "The event is not UTF-8.",
    "not_a_number": "NaN and Infinity are not JSON.",
    "number_too_large": "A number is too large to be stored.",
}


class Event(Struct, gc=False):
    """One event of a body. `word` reads its ids: some clients send none as null."""

    type: str | None = None
    event: Word = None
    user_id: Word = field(default=None, name="userId")
    anonymous_id: Word = field(default=None, name="anonymousId")
    message_id: Word = field(default=None, name="messageId")
    timestamp: Moment = None
    original_timestamp: Moment = field(default=None, name="originalTimestamp")
    sent_at: Moment = field(default=None, name="sentAt")
    properties: Object | None = None
    traits: Object | None = None
    context: Object | None = None
    name: Word = None
    category: Word = None
    group_id: Word = field(default=None, name="groupId")
    previous_id: Word = field(default=None, name="previousId")


class Rejection(Struct, frozen=True, gc=False):
    """Why one event of a batch was not taken."""

    index: int
    code: str
    message: str


class Batch(Struct, gc=False):
    """What a body says: the events to take, those not to take, and what is said for all."""

    events: list[Event]
    rejected: list[Rejection]
    write_key: str | None = None
    sent_at: Moment = None
    context: Mapping[str, Any] | None = None


def reject(index: int, code: str) -> Rejection:
    return Rejection(index, code, MESSAGES[code])


def all_good(events: Sequence[Event]) -> bool:
    """Whether all are plainly good, seen at once: bodies mostly are, and this takes a fifth.

    False is no verdict: `fault` says it, one by one.
    """
    if not {event.type for event in events} <= PLAIN_KINDS:
        return False
    ids = {event.user_id for event in events}
    if ids & NOBODY and {event.anonymous_id for event in events if not event.user_id} & NOBODY:
        return False
    ids = (ids | {event.anonymous_id for event in events}) - NOBODY
    names = {event.event for event in events if event.type == "track"}
    message_ids = {event.message_id for event in events} - NOBODY
    return (
        are_texts(ids, LONGEST_ID)
        and not any_reserved(ids)
        and "" not in names
        and are_texts(names, LONGEST_NAME)
        and are_texts(message_ids, LONGEST_MESSAGE_ID)
    )


def are_texts(values: Collection[Word], longest: int) -> TypeGuard[Collection[str]]:
    """Whether all are strings within the bound, found without a step of Python for each."""
    if not set(map(type, values)) <= {str}:
        return False
    texts = cast("Collection[str]", values)
    return max(map(len, texts), default=0) <= longest


def fault(event: Event) -> str | None:
    """The code of the reason not to take the event, or None; its ids become strings."""
    kind = event.type
    if kind not in KINDS:
        return "unknown_type"
    user_id = event.user_id = word(event.user_id)
    anonymous_id = event.anonymous_id = word(event.anonymous_id)
    if not user_id and not anonymous_id:
        return "no_identity"
    if code := fault_of_id(user_id) or fault_of_id(anonymous_id):
        return code
    message_id = event.message_id = word(event.message_id)
    if len(message_id) > LONGEST_MESSAGE_ID:
        return "message_id_too_long"
    if kind == "track":
        name = event.event = word(event.event)
        if not name:
            return "no_event_name"
        return "name_too_long" if len(name) > LONGEST_NAME else None
    return fault_of_kind(event, kind)


def fault_of_id(value: str) -> str | None:
    """None for a good id, and for none at all."""
    if len(value) > LONGEST_ID:
        return "id_too_long"
    return "reserved_id" if value and is_reserved(value) else None


def fault_of_kind(event: Event, kind: str | None) -> str | None:
    """What an alias or a group event needs besides."""
    if kind == "alias":
        previous_id = event.previous_id = word(event.previous_id)
        return fault_of_id(previous_id) if previous_id else "no_previous_id"
    if kind == "group" and not word(event.group_id):
        return "no_group_id"
    return None


def word(value: Word) -> str:
    if value.__class__ is str:
        return value
    return "" if value is None else str(value)


def from_object(value: Any) -> Event:
    """The event in a JSON object that was read with care.

    Raises
    ------
    Unstorable
        A part has a type that cannot be meant.
    """
    if not isinstance(value, dict):
        raise Unstorable("not_an_object")
    return Event(
        type=value["type"] if isinstance(value.get("type"), str) else None,
        event=text_of(value.get("event")),
        user_id=id_of(value.get("userId")),
        anonymous_id=id_of(value.get("anonymousId")),
        message_id=id_of(value.get("messageId")),
        timestamp=moment_of(value.get("timestamp")),
        original_timestamp=moment_of(value.get("originalTimestamp")),
        sent_at=moment_of(value.get("sentAt")),
        properties=object_of(value.get("properties")),
        traits=object_of(value.get("traits")),
        context=object_of(value.get("context")),
        name=text_of(value.get("name")),
        category=text_of(value.get("category")),
        group_id=id_of(value.get("groupId")),
        previous_id=id_of(value.get("previousId")),
    )


def id_of(value: Any) -> Word:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool | float | list | dict):
        raise Unstorable("invalid_id")
    return value  # type: ignore[no-any-return]


def text_of(value: Any) -> Any:
    """Words that are something else are left out: only type and event are needed."""
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def moment_of(value: Any) -> Moment:
    """What cannot be a time counts as none: the event is filed under its arrival."""
    readable = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if readable else None


def object_of(value: Any) -> Any:
    if value is None or isinstance(value, dict):
        return value
    raise Unstorable("invalid_object")
