"""The nightly care of this room."""

from celery import shared_task

from catalog import upkeep
from engage.lib import clock


@shared_task(acks_late=True, time_limit=600)  # type: ignore[untyped-decorator]
def clean_up() -> None:
    """Safe to run twice; what the limit cuts off is done the next night."""
    upkeep.clean_up(now=clock.now())
