"""What becomes too old: products that were deleted long ago.

Their rows stay for a while, because snapshots must hear of deletions and figures of past runs show
titles. Messages, events and figures name a product by its id and keep that.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from catalog.models import Catalog

logger = logging.getLogger(__name__)
DELETED_DAYS: Final = 90  # for so long a deleted product keeps its row
CHUNK: Final = 10_000  # rows in one transaction

PURGE: Final = """
WITH gone AS (
    DELETE FROM catalog_product WHERE id IN (
        SELECT id FROM catalog_product WHERE catalog_id = %s AND deleted_at < %s LIMIT %s)
    RETURNING version
)
SELECT count(*), max(version) FROM gone
"""


def clean_up(*, now: datetime) -> None:
    """Everything that is due once a day. Safe to run twice."""
    before = now - timedelta(days=DELETED_DAYS)
    purged = 0
    for catalog_id in Catalog.objects.order_by("pk").values_list("pk", flat=True):
        while count := purge_some(catalog_id, before=before):
            purged += count
    logger.info("catalogs cleaned up", extra={"products_purged": purged})


def purge_some(catalog_id: int, *, before: datetime) -> int:
    """Forget some products that were deleted before a time; how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Writers take this row first, too.
        catalog = Catalog.objects.select_for_update(no_key=True).filter(pk=catalog_id).first()
        cursor.execute(PURGE, [catalog_id, before, CHUNK])
        count, version = cursor.fetchone()
        if catalog is not None and count:
            catalog.purged_version = max(catalog.purged_version, version)
            catalog.save(update_fields=["purged_version"])
        return int(count)
