"""Events for the tests of this room."""

from datetime import datetime, timedelta
from itertools import count

from engage.profiles.events import StoredEvent
from tests.factories import NOON

numbers = count(1)


def make_event(
    name: str = "Product Viewed",
    *,
    user_id: str = "",
    anonymous_id: str = "",
    seconds: float = 0,
    message_id: str = "",
    kind: str = "track",
    received_at: datetime = NOON,
    source_id: int = 1,
    **fields: object,
) -> StoredEvent:
    return StoredEvent(
        source_id=source_id,
        message_id=message_id or f"m{next(numbers)}",
        kind=kind,
        name=name,
        user_id=user_id,
        anonymous_id=anonymous_id,
        ts=NOON + timedelta(seconds=seconds),
        received_at=received_at,
        **fields,
    )


def view(item: str, **fields: object) -> StoredEvent:
    return make_event("Product Viewed", properties={"product_id": item}, **fields)


def identify(traits: dict[str, object], **fields: object) -> StoredEvent:
    return make_event("identify", kind="identify", traits=traits, **fields)


def alias(previous_id: str, user_id: str, **fields: object) -> StoredEvent:
    return make_event("alias", kind="alias", previous_id=previous_id, user_id=user_id, **fields)
