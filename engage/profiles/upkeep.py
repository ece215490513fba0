"""What becomes too old, and what a crash or a move left to do."""

import logging
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import connection

from engage.profiles import dedupe, erasure, history, history_blocks, notices, partitions

logger = logging.getLogger(__name__)
NOTICE_DAYS: Final = 7


def clean_up(*, now: datetime) -> None:
    """Everything that is due once a day. Safe to run twice."""
    logger.info(
        "profiles cleaned up",
        extra={
            "erasures_repeated": erasure.repeat(now=now),
            "erasures_finished": erasure.finish_open(now=now),
            "dedupe_ids_dropped": dedupe.drop_old(now=now, days=settings.DEDUPE_DAYS),
            "notices_dropped": notices.drop_old(now=now, days=NOTICE_DAYS),
            "months_dropped": drop_months(now=now),
            "history_rebuilt": history.rebuild_if_stale(),
        },
    )


def drop_months(*, now: datetime) -> list[str]:
    """Drop event months older than EVENT_MONTHS; profiles keep what those events said."""
    if not settings.EVENT_MONTHS:
        return []
    months = now.year * 12 + now.month - 1 - settings.EVENT_MONTHS
    first_kept = now.replace(year=months // 12, month=months % 12 + 1, day=1)
    dropped = partitions.drop_before(first_kept)
    if dropped:
        with connection.cursor() as cursor:
            history_blocks.mark_stale(cursor)
    return dropped
