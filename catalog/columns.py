"""The columns of a catalog: nine that every catalog has, and its own, each with a type."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

# Common columns and their types. Money is a number to filters, exact text on a card.
COMMON: Final[Mapping[str, str]] = {
    "id": "text",
    "name": "text",
    "category": "text",
    "price": "number",
    "currency": "text",
    "image_url": "text",
    "url": "text",
    "in_stock": "boolean",
    "group_id": "text",
}
TYPES: Final = ("text", "number", "boolean", "time", "list")

# Other names under which files bring common columns, first the likelier.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("item_id", "product_id", "sku", "item"),
    "name": ("title", "product_name", "item_name", "product_title"),
    "category": ("product_type", "google_product_category", "category_name"),
    "price": ("sale_price", "unit_price"),
    "currency": ("currency_code", "price_currency"),
    "image_url": ("image_link", "image", "img_url", "picture"),
    "url": ("link", "product_url", "product_link", "item_url"),
    "in_stock": ("availability", "available", "stock", "quantity"),
    "group_id": ("item_group_id", "group", "parent_id", "parent_sku"),
}
MOST_OWN: Final = 200
LONGEST_NAME: Final = 100


def plain(name: str) -> str:
    """How names are compared: "Image URL" and "image-url" are "image_url"."""
    return re.sub(r"[\s\-]+", "_", name.strip()).lower()


def assign(names: Iterable[str]) -> dict[str, str]:
    """Each column of a file → the common column it stands for, else its own name, trimmed.

    A common column's own name wins over its aliases; an alias that is not needed is an own
    column. So of `stock,in_stock` the first stays a number to filter by.
    """
    names = list(names)
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(name), name)
    found = {name: name.strip() for name in names}
    for column, aliases in ALIASES.items():
        for candidate in (column, *aliases):
            if candidate in by_plain:
                found[by_plain[candidate]] = column
                break
    return found
