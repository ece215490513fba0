"""Runs on their way through an audience, told by whoever plans them in the same transaction.

They do not show themselves in messages yet: where a cap has room for some only, the mark waits for
a better run that has not come to the person.
"""

from datetime import datetime, timedelta
from typing import Final

from delivery.models import RunPlan

WAITED_FOR: Final = timedelta(minutes=1)  # from its begin; a run of millions is planned for longer


def begin(run_id: int, *, channel: str, topic: str, priority: int, now: datetime) -> None:
    """Safe to run twice."""
    told = {"channel": channel, "topic": topic, "priority": priority, "began_at": now}
    RunPlan.objects.get_or_create(run_id=run_id, defaults=told)


def reach(run_id: int, *, profile_id: int) -> None:
    """Everybody up to this one has their messages."""
    RunPlan.objects.filter(run_id=run_id).update(reached=profile_id)


def end(run_id: int) -> None:
    RunPlan.objects.filter(run_id=run_id).delete()
