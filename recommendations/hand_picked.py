"""The lists a person chose, remembered for a second per process."""

import time
from typing import Final

from recommendations.models import HandPicked

CHECK_SECONDS: Final = 1.0
remembered: dict[tuple[str, str], tuple[float, list[str]]] = {}


def items_of(catalog: str, *, name: str = "default") -> list[str]:
    """The item ids of a list, best first; empty when there is no such list."""
    key = (catalog, name)
    found = remembered.get(key)
    if found is None or time.monotonic() - found[0] >= CHECK_SECONDS:
        row = HandPicked.objects.filter(catalog=catalog, name=name).values_list("item_ids").first()
        items = [str(item) for item in row[0]] if row else []
        found = remembered[key] = (time.monotonic(), list(dict.fromkeys(items)))
    return found[1]


def forget() -> None:
    remembered.clear()
