"""The bells of this room. The rows say what is due: losing a bell only costs a second."""

from celery import shared_task
from django.conf import settings
from django.db import transaction

from campaigns import arms, bell, fanout, occasions, rails, ranker, runs, sending, triggers
from delivery import installation
from engage.lib import bulkheads, clock, failpoints

# Seconds. When the mark of the bell has faded the clock rings again; the first ring is forgotten
# then, or the rings of what is slow pile up.
UNHEARD = bell.FADES_SECONDS
SWEEPS = 100  # of one night
MOST_BATCHES = 20  # of notices, before the bell of the next second


@shared_task(acks_late=True, time_limit=60, soft_time_limit=50)  # type: ignore[untyped-decorator]
def tick() -> None:
    """Start what is due, ring for what is open, close what is done. Safe to run twice."""
    now = clock.now()
    installation.ensure(now)
    runs.start_due(now)
    failpoints.reach("C3")
    for run_id in runs.list_planning():
        if bell.ring("plan", run_id):
            plan_run.delay(run_id)
    for channel, chunks in sending.list_due(now):
        for lane in range(chunks):
            if bell.ring("send", channel, lane):
                send_chunk.delay(channel, lane)
    runs.reopen(now)
    runs.finish_done(now)


@shared_task(acks_late=True, expires=UNHEARD, time_limit=300, soft_time_limit=270)  # type: ignore[untyped-decorator]
def plan_run(run_id: int) -> None:
    """Plan one chunk, and ring again while there is more. Safe to run twice: the row is locked."""
    bell.hold("plan", run_id)
    if fanout.plan_chunk(run_id, now=clock.now(), limit=settings.SEND_BATCH):
        failpoints.reach("C6")
        plan_run.delay(run_id)
    else:
        bell.hang_up("plan", run_id)


@shared_task(acks_late=True, expires=UNHEARD, time_limit=300, soft_time_limit=270)  # type: ignore[untyped-decorator]
def send_chunk(channel: str, lane: int) -> None:
    """Send one chunk, and ring again while there is more. Safe to run twice: rows are leased.

    Where the channel has all its processes of this worker, nothing happens: the mark of the bell
    fades, and the next ring may come to another host.
    """
    with bulkheads.enter(channel) as entered:
        if not entered:
            return
        bell.hold("send", channel, lane)
        now = clock.now()
        installation.ensure(now, epoch=installation.SENDING_EPOCH)
        report = sending.send_chunk(channel, now=now)
        failpoints.reach("C12")
    # Behind the bulkhead, or the ring could come before our place is free.
    if report.more:
        send_chunk.delay(channel, lane)
    elif report.claimed or not report.problem:  # else a ring a second would find out no more
        bell.hang_up("send", channel, lane)


@shared_task(time_limit=60, soft_time_limit=50)  # type: ignore[untyped-decorator]
def take_triggers() -> None:
    """Plan what people's events send. Safe to run twice: it is read where it was left.

    Batches grow from small ones: if planning goes slowly, the task's time is over in a large one,
    and what was committed before it stays.
    """
    limit = triggers.FIRST_LIMIT
    for _ in range(MOST_BATCHES):
        taken = triggers.take(now=clock.now(), limit=limit)
        limit = min(2 * limit, triggers.LIMIT)
        for campaign_id, reason in taken.broken.items():
            rails.stop_campaign(campaign_id, reason, now=clock.now())
        if not taken.more:
            break


@shared_task(time_limit=60, soft_time_limit=50)  # type: ignore[untyped-decorator]
def watch_runs() -> None:
    """Stop what goes wrong. Safe to run twice."""
    rails.watch(clock.now())


@shared_task(time_limit=800, soft_time_limit=780)  # type: ignore[untyped-decorator]
def count_arms() -> None:
    """Count what came of the products that slots left to chance. Safe to run twice."""
    arms.count(now=clock.now())


@shared_task(time_limit=800, soft_time_limit=780)  # type: ignore[untyped-decorator]
def clean_up() -> None:
    """Safe to run twice."""
    occasions.drop_old(sweeps=SWEEPS, now=clock.now())
    with transaction.atomic():
        triggers.watch()  # no more what only ended campaigns waited for


@shared_task  # type: ignore[untyped-decorator]
def train_rankers() -> None:
    """Safe to run twice."""
    for catalog in ranker.list_catalogs():
        train_ranker.delay(catalog)


@shared_task(time_limit=800, soft_time_limit=780)  # type: ignore[untyped-decorator]
def train_ranker(catalog: str) -> None:
    """Learn from what was shown and clicked. Safe to run twice: the second learns the same."""
    ranker.train(catalog, now=clock.now())
