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
FOLD_FADES_SECONDS = 45.0  # by then the clock has rung again


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


@shared_task(time_limit=6 * HOURS, soft_time_limit=6 * HOURS - 60)  # type: ignore[untyped-decorator]
def build_if_due(catalog: str) -> None:
    """Safe to run twice, and a pile of them is one build: it is not due for an hour after that."""
    if is_build_due(catalog, now=clock.now()):
        build(catalog)


@shared_task  # type: ignore[untyped-decorator]
def fold_all() -> None:
    """Safe to run twice. One task each: one that fails must not keep the next waiting."""
    for name in Catalog.objects.order_by("name").values_list("name", flat=True):
        fold.delay(name)


@shared_task(time_limit=120, expires=FOLD_FADES_SECONDS)  # type: ignore[untyped-decorator]
def fold(catalog: str) -> None:
    """Safe to run twice: what is folded already changes nothing."""
    folds.run(catalog, now=clock.now())
    if is_build_due(catalog, now=clock.now()):
        build_if_due.delay(catalog)
