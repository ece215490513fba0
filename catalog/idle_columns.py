"""Own columns that no live product has a value in any more: they leave their catalog.

Otherwise the bound on own columns, once reached, would keep new ones out for ever.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

# Stops at the first value of each column; only one that is idle is sought in every product.
FIND: Final = """
SELECT own FROM unnest(%s::text[]) AS own WHERE NOT EXISTS (
    SELECT 1 FROM catalog_product p
    WHERE p.catalog_id = %s AND p.deleted_at IS NULL AND p.extra ? own)
"""


def without_idle(
    cursor: Any, catalog_id: int, columns: Mapping[str, str], *, kept: Iterable[str]
) -> dict[str, str]:
    """The own columns (name → type) that are kept anyway or that a live product has a value in."""
    asked = sorted(set(columns) - set(kept))
    if not asked:
        return dict(columns)
    cursor.execute(FIND, [asked, catalog_id])
    idle = {name for (name,) in cursor.fetchall()}
    return {name: kind for name, kind in columns.items() if name not in idle}
