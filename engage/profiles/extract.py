"""What an event says: which products it touches."""

from collections.abc import Mapping
from typing import Any, Final

ITEM_LENGTH: Final = 255
MAX_ITEMS: Final = 500  # of one event; a basket with more is an import, not a purchase


def items(name: str, properties: Mapping[str, Any]) -> list[str]:
    """The item ids of an event, in its order, each once.

    From `product_id` or `sku`, and from those of each of `products`.
    """
    products = properties.get("products")
    if not products or not isinstance(products, list):
        item = item_of(properties)
        return [item] if item else []
    found = [item_of(properties), *(item_of(p) for p in products if isinstance(p, Mapping))]
    return list(dict.fromkeys(item for item in found if item))[:MAX_ITEMS]


def item_of(product: Mapping[str, Any]) -> str:
    """The product's id as a string; empty when there is none that can be one."""
    value = product.get("product_id")
    if value is None or value == "":
        value = product.get("sku")
    if isinstance(value, str):
        return value if len(value) <= ITEM_LENGTH else ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**30 else ""
    return ""
