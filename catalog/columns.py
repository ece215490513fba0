"""The columns of a catalog: nine that every catalog has, and its own, each with a type."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from catalog.errors import InvalidFile
from catalog.values import UNPRINTABLE, kind_of, printable

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

    Raises
    ------
    InvalidFile
        Two columns have one name, a name cannot be used, or there are too many.
    """
    names = list(names)
    by_plain: dict[str, str] = {}
    for name in names:
        twin = by_plain.setdefault(plain(name), name)
        if twin != name and plain(name) in COMMON:
            raise InvalidFile(f"The columns “{twin}” and “{name}” both stand for {plain(name)}.")
    found = {name: name.strip() for name in names}
    for column, aliases in ALIASES.items():
        for candidate in (column, *aliases):
            if candidate in by_plain:
                found[by_plain[candidate]] = column
                break
    _check_own([name for name in found.values() if name not in COMMON])
    return found


def _check_own(names: Sequence[str]) -> None:
    for name in names:
        if problem := find_name_problem(name):
            raise InvalidFile(f"The column “{printable(name, longest=50)}” {problem}.")
    if len(names) > MOST_OWN:
        raise InvalidFile(f"The file has more than {MOST_OWN} columns of its own.")


def find_name_problem(name: str) -> str | None:
    """Why an own column cannot have this name."""
    if not name.strip():
        return "has no name"
    if len(name) > LONGEST_NAME:
        return f"has a name longer than {LONGEST_NAME} characters"
    if UNPRINTABLE.search(name):
        return "has a name with a control character (is the file UTF-8?)"
    return None


class Evidence:
    """What the values of one own column look like, over a whole file."""

    # One odd value in a hundred is a slip in its row; more of them are the column's nature.
    SHARE: Final = 0.99
    LIST_SHARE: Final = 0.1  # of cells with several words, so that one “a|b” makes no list
    LONGEST_WORD: Final = 50

    def __init__(self, *, typed: bool) -> None:
        self.typed = typed  # JSON values mean what they are; cells of a table are read
        self.kinds: Counter[str] = Counter()
        self.long_texts = 0

    def add(self, value: object) -> None:
        kind = kind_of(value, typed=self.typed)
        if kind:
            self.kinds[kind] += 1
            if kind == "text" and isinstance(value, str) and len(value) > self.LONGEST_WORD:
                self.long_texts += 1

    def type(self, *, known: str | None = None) -> str:
        """The column's type. A known one stays as long as the values fit it."""
        total = self.kinds.total()
        if known is not None and (known == "text" or self._share(known) >= self.SHARE):
            return known
        if not total or self.kinds["code"]:
            return "text"
        for kind in ("number", "boolean", "time"):
            if self._share(kind) >= self.SHARE:
                return kind
        if self.kinds["list"] and (self.typed or self._looks_listed()):
            return "list"
        return "text"

    def _share(self, kind: str) -> float:
        total = self.kinds.total()
        if kind == "list":  # a single word is a list of one
            return 1.0 if not total or not self.long_texts else 0.0
        return self.kinds[kind] / total if total else 1.0

    def _looks_listed(self) -> bool:
        return not self.long_texts and self._listed_share() >= self.LIST_SHARE

    def _listed_share(self) -> float:
        return self.kinds["list"] / self.kinds.total()
