"""Taking events: the body to the stream, its products to the recent touches, and only then yes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from redis.client import Pipeline

from engage.collector import filing, formats, stream, times
from engage.collector.access import Access
from engage.collector.formats.event import Batch, Rejection, Word, word
from engage.lib import failpoints
from engage.lib.clock import to_millis
from engage.lib.redis import Commands
from engage.profiles import activity, extract
from engage.profiles.activity import PURCHASE, Touch

LAUNCH: Final = "segment/batch"
HINTED: Final = 20
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
    meanwhile: Callable[[], None] | None = None,
) -> Accepted:
    """As `accept_batch`, for a body that was parsed to see its key.

    `ask` may add questions to the round trip; their answers know what these events touched.
    `meanwhile` is called while it is under way.
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
    failpoints.reach("C1")
    answers = stream.add(
        source_id=access.source_id,
        received_ms=received_ms,
        form=form,
        body=body,
        seed=seed,
        also=also,
        meanwhile=meanwhile,
    )
    failpoints.reach("C2")
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
    """The products that the events touch, by who did, oldest first.

    No more of one person than tell what they are after, for the second until they are stored; but
    every purchase, because what was just bought must not be shown.
    """
    found: dict[tuple[Word, Word], list[Touch]] = {}
    sent_at = times.parse(batch.sent_at)
    place = len(batch.events)
    for event in reversed(batch.events):  # the newest are kept
        place -= 1
        if event.type != "track" or not event.properties:
            continue
        who = (event.user_id, None) if event.user_id else (None, event.anonymous_id)
        kept = found.get(who)
        if kept is not None and len(kept) >= HINTED and event.event != PURCHASE:
            continue
        name = word(event.event)
        if items := extract.items(name, event.properties):
            millis = filing.time_of(event, sent_at=sent_at, received_ms=received_ms)
            ts_ms = received_ms if millis is None else millis
            message_id = word(event.message_id) or filing.mint_id(seed, place)
            touches = [Touch(item, name, ts_ms, message_id) for item in reversed(items)]
            if kept is None:
                found[who] = touches
            else:
                kept += touches
    for touches in found.values():
        touches.reverse()
    return {(word(user), word(stranger)): touches for (user, stranger), touches in found.items()}
