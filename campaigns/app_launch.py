"""The door for apps that open: their events are taken first, then their messages given."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.http import HttpRequest, HttpResponse
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import TimeoutError as RedisSlow

from campaigns import launch_body
from campaigns.in_app_messages import Happened, messages_for, messages_from
from campaigns.launch_body import LAUNCHED, LaunchBody
from campaigns.launch_facts import Look
from engage.collector import accept, access, filing, times
from engage.collector.formats.event import Event, fault, word
from engage.lib import api, clock
from engage.lib.clock import from_millis, to_millis

logger = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode

AWAY = (OperationalError, InterfaceError, RedisAway, RedisSlow)
BATCH_FORM = "segment/batch"


@api.for_machines
def view(request: HttpRequest) -> HttpResponse:
    """POST /v1/app-launch: 200 with the messages and a result per event."""
    if request.method != "POST":
        raise api.MethodNotAllowed("Launch by POST.")
    body = api.read_body(request, limit=settings.BATCH_MAX_BYTES)
    launch = launch_body.parse(body)
    who = access.open_to(request, body_key=launch.write_key)
    now = clock.now()
    user_id, anonymous_id = person_of(launch)
    look = Look(user_id=user_id, anonymous_id=anonymous_id, now=now)
    taken = accept.accept_parsed(
        launch.batch,
        launch.body,
        who,
        now=now,
        form=BATCH_FORM,
        ask=look.ask,
        meanwhile=look.load,
    )
    if not taken.accepted and not launch.asked:
        [refused] = taken.rejected  # the launch itself: nobody can be answered
        return api.refusal(refused.code, refused.message)
    answer = answer_for(launch, look, answers=taken.answers)
    answer |= {"accepted": taken.accepted, "rejected": taken.rejected}
    raw = encode(answer)
    return HttpResponse(raw, content_type=api.JSON, headers={"Content-Length": str(len(raw))})


def answer_for(launch: LaunchBody, look: Look, *, answers: Sequence[Any]) -> dict[str, Any]:
    """The messages of the person who opened the app; none when they cannot be known.

    The events are on the disk already, so a store that is away costs the messages only: an error
    would make the app send everything again.
    """
    user_id, anonymous_id = look.user_id, look.anonymous_id
    if not user_id and not anonymous_id:
        return {"messages": [], "stale": []}
    events = happened(launch, user_id, anonymous_id, now=look.now)
    try:
        if answers:
            return messages_from(look, answers, events=events, seen=launch.seen)
        # No event could be taken, so nobody asked.
        return messages_for(
            user_id=user_id,
            anonymous_id=anonymous_id,
            events=events,
            seen=launch.seen,
            now=look.now,
        )
    except AWAY as exc:
        close_old_connections()  # no handler of Django's does it on this path
        logger.warning("launch answered without messages", extra={"error": type(exc).__name__})
        return {"messages": [], "stale": []}


def person_of(launch: LaunchBody) -> tuple[str, str]:
    """Whom the body names; if it names nobody that could be kept, who did the last event."""
    own = Event("track", LAUNCHED, launch.user_id, launch.anonymous_id)
    if fault(own) is not None:
        if not launch.batch.events:
            return "", ""
        own = launch.batch.events[-1]
    return word(own.user_id), word(own.anonymous_id)


def happened(
    launch: LaunchBody, user_id: str, anonymous_id: str, *, now: datetime
) -> Sequence[Happened]:
    """The events of this person; a queue may hold those of somebody who logged out since."""
    received_ms, sent_at = to_millis(now), times.parse(launch.batch.sent_at)
    found = []
    for event in launch.batch.events:
        if _is_of(event, user_id, anonymous_id):
            millis = filing.time_of(event, sent_at=sent_at, received_ms=received_ms)
            kind = event.type or ""
            found.append(
                Happened(
                    kind=kind,
                    name=word(event.event) if kind == "track" else kind,
                    at=now if millis is None else from_millis(millis),
                    properties=filing.properties_of(event, kind),
                    traits=filing.traits_of(event) if kind == "identify" else {},
                    message_id=word(event.message_id),
                )
            )
    return found


def _is_of(event: Event, user_id: str, anonymous_id: str) -> bool:
    if event.user_id:
        return bool(event.user_id == user_id)
    return bool(event.anonymous_id) and event.anonymous_id == anonymous_id
