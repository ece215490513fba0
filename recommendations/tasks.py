"""Bells for builds and for the folds between them.

The queue "build" has one worker, and a lock keeps a second build out.
"""

from celery import shared_task

from catalog.models import Catalog
from engage.lib import clock
from recommendations import build as builds
from recommendations import fold as folds
from recommendations.due import is_build_due
from recommendations.errors import BuildRunning

HOURS = 3600


@shared_task(time_limit=6 * HOURS, soft_time_limit=6 * HOURS - 60)  # type: ignore[untyped-decorator]
def build(catalog: str) -> None:
    """Safe to run twice: the second finds the lock taken, or builds the same bits again."""
    try:
        builds.run(catalog, now=clock.now())
    except BuildRunning:
        return  # the next tick or click asks again


@shared_task  # type: ignore[untyped-decorator]
def build_all() -> None:
    """Safe to run twice."""
    for name in Catalog.objects.order_by("name").values_list("name", flat=True):
        build.delay(name)


@shared_task(time_limit=120)  # type: ignore[untyped-decorator]
def fold_all() -> None:
    """Safe to run twice: what is folded already changes nothing."""
    for name in Catalog.objects.order_by("name").values_list("name", flat=True):
        folds.run(name, now=clock.now())
        if is_build_due(name, now=clock.now()):
            build.delay(name)
