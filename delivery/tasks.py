"""Bells of delivery. Each does one bounded piece of work and can ring twice."""

from celery import shared_task

from delivery import clicks, inbox, notices, reaping
from engage.lib import clock

BATCHES = 100  # of notices or clicks, in one ring
SWEEPS = 500  # of expired inbox messages, in one night


@shared_task(time_limit=120)  # type: ignore[untyped-decorator]
def reap() -> None:
    """Take back what dead workers held. Safe to run twice."""
    reaping.reap(clock.now())


@shared_task(time_limit=120)  # type: ignore[untyped-decorator]
def consume_notices() -> None:
    """Count what apps say about their messages. Safe to run twice: the cursor moves with it."""
    for _ in range(BATCHES):
        if notices.consume_notices(clock.now()).heard < notices.LIMIT:
            return


@shared_task(time_limit=120)  # type: ignore[untyped-decorator]
def tell_clicks() -> None:
    """Make events of the clicks of people. Safe to run twice: each has its click's id."""
    for _ in range(BATCHES):
        if clicks.tell_clicks(clock.now()) < clicks.LIMIT:
            return


@shared_task(acks_late=True, time_limit=600)  # type: ignore[untyped-decorator]
def clean_up() -> None:
    """Delete what expired in inboxes. Safe to run twice; the next night does what is left."""
    inbox.drop_expired(sweeps=SWEEPS, now=clock.now())
