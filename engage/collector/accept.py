"""Taking events: the body to the stream, its products to the recent touches, and only then yes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

import msgspec
from django.conf import settings
from msgspec import Struct
from redis.client import Pipeline

from engage.collector import filing, formats, stream, times
from engage.collector.access import Access
from engage.collector.formats.event import Batch, Event, Rejection, word
from engage.lib.clock import to_millis
from engage.lib.redis import Commands
from engage.profiles import activity, extract
from engage.profiles.activity import Touch

LAUNCH: Final = "segment/batch"
Touches = dict[tuple[str, str], list[Touch]]


class Accepted(Struct, frozen=True):
    """How many events are kept, duplicates included, and why the others are not."""

    accepted: int
    rejected: Sequence[Rejection] = ()
    answers: Sequence[Any] = ()  # of Redis; those to the commands of `ask` come last


def accept_batch(body: bytes, access: Access, *, now: datetime, form: str = LAUNCH) -> Accepted:
    """Take what can be taken of a body. When this returns the accepted events are on the disk.

    Raises
    ------
    InvalidBody, InvalidBatch, TooManyEvents
    QueueFull, Unavailable
        Nothing was taken.
    """
    return accept_parsed(formats.parse(body, form=form), body, access, now=now, form=form)


def accept_parsed(
    batch: Batch,
    body: bytes,
    access: Access,
    *,
    now: datetime,
    form: str,
    ask: Callable[[Commands], None] | None = None,
) -> Accepted:
    """As `accept_batch`, for a body that was parsed to see its key.

    `ask` may add questions to the round trip; their answers know what these events touched.
    """
    if not batch.events:
        return Accepted(0, batch.rejected)
    received_ms = to_millis(now)
    seed = "" if all(event.message_id for event in batch.events) else filing.new_seed(received_ms)
    also = Commands()
    for (user_id, anonymous_id), touches in touches_of(
        batch, received_ms=received_ms, seed=seed
    ).items():
        activity.note_pending(
            cast("Pipeline", also),  # it has the three methods that are used
            user_id=user_id,
            anonymous_id=anonymous_id,
            touches=touches,
        )
    notes = len(also)
    if ask is not None:
        ask(also)
    answers = stream.add(
        source_id=access.source_id,
        received_ms=received_ms,
        form=form,
        body=body,
        seed=seed,
        also=also,
    )
    return Accepted(len(batch.events), batch.rejected, answers[notes:])


def accept_events(
    access: Access,
    events: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    context: Mapping[str, Any] | None = None,
    sent_at: str | float | None = None,
    user_id: str = "",
    anonymous_id: str = "",
) -> Accepted:
    """Take events that another door has read; the ids are for those that name nobody.

    Raises
    ------
    As `accept_batch`.
    """
    body = msgspec.json.encode(
        {
            "batch": events,
            "context": context,
            "sentAt": sent_at,
            "userId": user_id or None,
            "anonymousId": anonymous_id or None,
        }
    )
    return accept_batch(body, access, now=now)


def touches_of(batch: Batch, *, received_ms: int, seed: str) -> Touches:
    """The products that the events touch, by who did, oldest first, and no more than are kept."""
    found: Touches = {}
    sent_at = times.parse(batch.sent_at)
    for place in range(len(batch.events) - 1, -1, -1):  # from the end: the newest are kept
        event = batch.events[place]
        if event.type != "track" or not event.properties:
            continue
        items = extract.items(word(event.event), event.properties)
        if items:
            millis = filing.time_of(event, sent_at=sent_at, received_ms=received_ms)
            message_id = word(event.message_id) or filing.mint_id(seed, place)
            ts_ms = received_ms if millis is None else millis
            add_touches(found, event, items, ts_ms=ts_ms, message_id=message_id)
    for touches in found.values():
        touches.reverse()
    return found


def add_touches(
    found: Touches, event: Event, items: Sequence[str], *, ts_ms: int, message_id: str
) -> None:
    user_id = word(event.user_id)
    who = (user_id, "" if user_id else word(event.anonymous_id))
    touches = found.setdefault(who, [])
    room = settings.RECENT_ITEMS - len(touches)
    for item in reversed(items[:room] if room > 0 else ()):
        touches.append(Touch(item, word(event.event), ts_ms, message_id))
