"""The nightly care of this room."""

from celery import shared_task

from engage.lib import clock
from engage.profiles import upkeep


@shared_task(time_limit=7_200)  # type: ignore[untyped-decorator]
def clean_up() -> None:
    """Safe to run twice."""
    upkeep.clean_up(now=clock.now())
