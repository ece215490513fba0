"""Sending what is due: a chunk of one channel through delivery's only door."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.conf import settings

from campaigns import survivors
from campaigns.compose import Composed, compose
from delivery import outbox
from delivery.dispatch import DispatchReport, dispatch
from delivery.models import Message
from delivery.policy import MERGED, Drop
from engage.lib import garbage

PARALLEL_CHUNKS = 16  # of one channel, on all hosts together; each host takes what it has room for


@garbage.not_collected()
def send_chunk(channel: str, *, now: datetime) -> DispatchReport:
    """Safe to run twice and by many at once: messages are claimed with a lease."""
    return dispatch(
        channel=channel, compose=partial(_compose, now=now), limit=settings.SEND_BATCH, now=now
    )


def _compose(messages: Sequence[Message], *, now: datetime) -> list[Composed]:
    composed = compose(messages, now=now)
    moved = survivors.move_on(messages, now=now)
    return [
        Drop(MERGED) if message.id in moved else one
        for message, one in zip(messages, composed, strict=True)
    ]


def list_due(now: datetime) -> list[tuple[str, int]]:
    """The channels with something to send now, each with how many chunks at once are worth it.

    One that just had to pause gets one: were its provider still silent, each more would leave
    another group unknown.
    """
    found = []
    for channel in settings.CHANNELS:
        if outbox.list_due_runs(channel, now=now):
            parallel = 1 if outbox.recovers(channel, now=now) else PARALLEL_CHUNKS
            most = parallel * settings.SEND_BATCH
            planned = Message.objects.filter(channel=channel, state=Message.State.PLANNED)
            waiting = planned.order_by().values("id")[:most].count()
            found.append((channel, max(1, -(-waiting // settings.SEND_BATCH))))
    return found
