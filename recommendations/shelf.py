"""The catalog as it is now beside the live model: what may be shown, in both numberings.

A *row* is a place in the catalog's snapshot, a *number* one in the artifact. Products come and go
after a build, so each knows only a part of the other.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from catalog import snapshot
from catalog.arrays import Column
from catalog.filters import Filter
from catalog.snapshot import Snapshot
from catalog.texts import CodedColumn
from recommendations import arrivals, registry
from recommendations.algorithms.popularity import best_first
from recommendations.algorithms.ranking import CLOSED
from recommendations.alike import Descriptions, find_alike
from recommendations.artifact import Artifact

KEPT_FILTERS: Final = 64  # per catalog and process
KEPT_RELATIVE: Final = 16  # of the filters that depend on the person: mostly used once
KEPT_ALIKE: Final = 1_000  # products whose likes are remembered, per filter
FEW: Final = 5  # interactions: a product with fewer is cold
STEP: Final = 256
Rows = NDArray[np.int32]
Order = tuple[Rows, NDArray[np.float64]]  # rows, best first, and their scores

shelves: dict[str, "Shelf"] = {}
lock = threading.Lock()


class Shelf:
    """Products and model of one moment. Never changed after it was made, but for its caches."""

    def __init__(
        self,
        products: Snapshot,
        model: Artifact | None,
        *,
        remembered: Mapping[str, Sequence[str]],
        before: "Shelf | None" = None,
    ) -> None:
        self.products = products
        self.model = model
        self.row_of: Rows  # row of each number
        self.number_of: Rows  # number of each row
        self.members: Mapping[int, list[int]]  # rows of each group
        if before is not None and before.model is model and before.products.ids is products.ids:
            self.row_of, self.number_of = before.row_of, before.number_of
        else:
            self.row_of, self.number_of = match(products, model)
        self.group_of_row, _ = encode(products.column("group_id"))
        if before is not None and np.array_equal(before.group_of_row, self.group_of_row):
            self.members = before.members
        else:
            self.members = list_members(self.group_of_row)
        self.category_of_row, self.categories = encode(products.column("category"))
        self.orders = self._orders(remembered)
        self.names: dict[int, str] = {}  # those that were asked for
        self.choices: OrderedDict[Filter | None, Choice] = OrderedDict()
        self.relative_choices: OrderedDict[Filter | None, Choice] = OrderedDict()
        self.kinds: dict[str, Rows] = {}  # see `kind_of_row`
        self.rerankers: OrderedDict[Any, Any] = OrderedDict()  # see `reranking.lay`
        self.features: Any = None  # see `features.of`

    @cached_property
    def numbers(self) -> list[int]:
        """`number_of` for loops in Python."""
        found: list[int] = self.number_of.tolist()
        return found

    @cached_property
    def arrivals(self) -> arrivals.Arrivals:
        """Rows of what came last, newest first, and when it came, in ms."""
        return arrivals.find(self.products)

    @cached_property
    def descriptions(self) -> Descriptions | None:
        """For finding what is described alike; None without a model."""
        return Descriptions(self.products.name, self.model) if self.model else None

    def kind_of_row(self, column: str) -> Rows:
        """What each row has in a text column, as numbers; -1 where it has nothing."""
        found = self.kinds.get(column)
        if found is None:
            found = self.kinds[column] = encode(self.products.column(column))[0]
        return found

    def name(self, row: int) -> str:
        found = self.names.get(row)
        if found is None:
            found = self.products.column("name").value(row) or self.products.ids[row]
            self.names[row] = found
        return found

    def _orders(self, remembered: Mapping[str, Sequence[str]]) -> dict[str, Order]:
        """Rows of "sales" and "trend", best first, each with its score."""
        if self.model is None:
            return {name: self._rows(remembered.get(name, ())) for name in ("sales", "trend")}
        found = {}
        for name in ("sales", "trend"):
            scores = self.model.arrays[name]
            numbers = best_first(scores)
            numbers = numbers[self.row_of[numbers] >= 0]
            found[name] = (self.row_of[numbers], scores[numbers].astype(np.float64))
        return found

    def _rows(self, item_ids: Sequence[str]) -> Order:
        """The rows of listed products that still exist; the score falls with the place."""
        index = self.products.index
        rows = [index[item_id] for item_id in item_ids if item_id in index]
        return np.array(rows, np.int32), 1.0 / np.arange(1, len(rows) + 1)

    def choice(self, filter: Filter | None, *, relative: bool = False) -> "Choice":
        """What may be shown under the filter; computed once per filter.

        `relative`: made for one person. These must not push out the ones that serve everybody.
        """
        choices = self.relative_choices if relative else self.choices
        found = choices.get(filter)
        if found is None:
            found = choices[filter] = Choice(self, filter)
            while len(choices) > (KEPT_RELATIVE if relative else KEPT_FILTERS):
                choices.popitem(last=False)
        return found

    def widen(self, rows: set[int]) -> set[int]:
        """The rows and all variants of the same products."""
        if not self.members:
            return rows
        groups = {int(self.group_of_row[row]) for row in rows} - {-1}
        return rows.union(*(self.members[group] for group in groups)) if groups else rows


class Choice:
    """The rows one filter leaves, in the numbering of the kernel and as lists for the rungs."""

    def __init__(self, shelf: Shelf, filter: Filter | None) -> None:
        self.shelf = shelf
        self.rows = allowed(shelf.products, filter)
        self.in_category: dict[tuple[str, int], Order] = {}
        self.alike: dict[int, Order] = {}  # by row; what is described like it
        self.people: dict[tuple[int, ...], Order] = {}  # see `people_alike.find_order`

    @cached_property
    def groups(self) -> Rows:
        """By number, as the kernel takes them."""
        shelf = self.shelf
        groups = np.full(shelf.row_of.size, CLOSED, np.int32)
        known = np.flatnonzero(shelf.row_of >= 0)
        known = known[self.rows[shelf.row_of[known]]]
        groups[known] = shelf.group_of_row[shelf.row_of[known]]
        return groups

    @cached_property
    def orders(self) -> dict[str, Order]:
        return {
            name: (rows[self.rows[rows]], scores[self.rows[rows]])
            for name, (rows, scores) in self.shelf.orders.items()
        }

    @cached_property
    def cold(self) -> Rows:
        """What nearly nobody touched yet, in the order of ids."""
        here = self.shelf
        cold = self.rows.copy()
        if here.model is not None:
            known = here.number_of >= 0
            met = here.model.arrays["occurrences"]
            cold[known] &= met[here.number_of[known]] < FEW
        return np.flatnonzero(cold).astype(np.int32)

    def alike_to(self, row: int) -> Order:
        """What is described like the product and may be shown; computed once per product."""
        found = self.alike.get(row)
        if found is None:
            found = find_alike(self.shelf, row, allowed=self.groups != CLOSED)
            if len(self.alike) < KEPT_ALIKE:
                self.alike[row] = found
        return found

    def trending_in(self, category: int) -> Order:
        return self.order_in(category, name="trend")

    def order_in(self, category: int, *, name: str) -> Order:
        """The part of "trend" or "sales" that is of one category."""
        found = self.in_category.get((name, category))
        if found is None:
            rows, scores = self.orders[name]
            inside = self.shelf.category_of_row[rows] == category
            found = self.in_category[name, category] = (rows[inside], scores[inside])
        return found


def current(catalog: str) -> Shelf:
    """The shelf of this moment; made anew when the catalog or the live build changed."""
    products, model = snapshot.current(catalog), registry.live(catalog)
    shelf = shelves.get(catalog)
    if shelf is not None and shelf.products is products and shelf.model is model:
        return shelf
    with lock:
        shelf = shelves.get(catalog)
        if shelf is None or shelf.products is not products or shelf.model is not model:
            remembered = {} if model else registry.remembered(catalog)
            shelf = Shelf(products, model, remembered=remembered, before=shelf)
            shelves[catalog] = shelf
    return shelf


def forget() -> None:
    """Between tests, and wherever the database below was replaced."""
    shelves.clear()
    registry.forget()


def match(products: Snapshot, model: Artifact | None) -> tuple[Rows, Rows]:
    """Row of each number and number of each row; -1 where the other does not have it."""
    item_ids = model.item_ids if model else []
    index = products.index
    row_of = np.fromiter((index.get(item_id, -1) for item_id in item_ids), np.int32, len(item_ids))
    number_of = np.full(len(products.ids), -1, np.int32)
    known = row_of >= 0
    number_of[row_of[known]] = np.flatnonzero(known)
    return row_of, number_of


def allowed(products: Snapshot, filter: Filter | None) -> NDArray[np.bool_]:
    """In stock and inside the filter, unless it asks for what is sold out and nothing else."""
    if filter is None:
        return products.in_stock
    mask = filter.mask(products)
    return mask if filter.only_sold_out else mask & products.in_stock


def encode(column: Column) -> tuple[Rows, Sequence[str]]:
    """A text column as small numbers and what they stand for; -1 where it is missing."""
    if isinstance(column, CodedColumn):
        return column.values, column.vocabulary
    codes: dict[str, int] = {}
    cells = (column.value(row) for row in range(len(column)))
    found = (-1 if cell is None else codes.setdefault(cell, len(codes)) for cell in cells)
    return np.fromiter(found, np.int32, len(column)), list(codes)


def list_members(group_of_row: Rows) -> dict[int, list[int]]:
    """The rows of each group."""
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(group_of_row >= 0).tolist():
        members.setdefault(int(group_of_row[row]), []).append(row)
    return members


def walk(order: tuple[Rows, NDArray[Any]]) -> Iterator[tuple[int, Any]]:
    """Row and score, best first, without turning a million into Python objects."""
    rows, scores = order
    for start in range(0, rows.size, STEP):
        stop = start + STEP
        yield from zip(rows[start:stop].tolist(), scores[start:stop].tolist(), strict=True)
