"""The products of a catalog as columns in memory: what filters, ranking and cards read.

Each process keeps one snapshot per catalog and compares its version with the catalog's row at
most once a second, so a committed change is seen everywhere a second later. Only changed rows are
read then. A `Snapshot` itself never changes: whoever holds one keeps a consistent view.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection

from catalog.arrays import Change, Column, Mask, compared
from catalog.builders import builder
from catalog.columns import COMMON
from catalog.errors import UnknownCatalog
from catalog.models import Catalog, Product
from catalog.texts import CodedColumn
from catalog.values import as_text

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
KEPT_CARDS = 10_000  # of each snapshot; the same few products are shown most of the time
CHUNK = 2_000  # rows at a time while loading
# How common texts are kept: nearly all different as bytes; what ranking groups by as codes.
FORMS = {
    "name": "packed",
    "image_url": "packed",
    "url": "packed",
    "category": "coded",
    "group_id": "coded",
}
FIELDS = tuple(name for name in COMMON if name != "id")
# Above this share of changed rows reading everything anew is cheaper than merging.
MERGE_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The live products at one version, ordered by id."""

    catalog_id: int
    name: str
    version: int
    ids: Sequence[str]
    index: Mapping[str, int]  # id → row
    types: Mapping[str, str]  # common and own columns → type
    _columns: dict[str, Column]
    _cards: dict[int, Mapping[str, str | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> Column:
        """A column by name. Own columns are read at first use. Raises `KeyError` for no column."""
        found = self._columns.get(name)
        if found is not None:
            return found
        kind = self.types[name]
        with self._lock:
            if name not in self._columns:
                self._columns[name] = _load_own(self, name, kind)
        return self._columns[name]

    @property
    def in_stock(self) -> Mask:
        """True where the product can be bought."""
        return compared(self._columns["in_stock"].values, "=", 1)

    def card(self, row: int) -> Mapping[str, str | None]:
        """What a person sees of a product, ready for JSON; the price with two decimals."""
        found = self._cards.get(row)
        if found is None:
            if len(self._cards) >= KEPT_CARDS:
                self._cards.clear()
            found = self._cards[row] = self._make_card(row)
        return found

    def _make_card(self, row: int) -> Mapping[str, str | None]:
        price = self._columns["price"].value(row)
        return {
            "id": self.ids[row],
            "name": self._columns["name"].value(row) or "",
            "price": None if price is None else f"{price:.2f}",
            "currency": self._columns["currency"].value(row) or "",
            "image_url": self._columns["image_url"].value(row) or "",
            "url": self._columns["url"].value(row) or "",
        }


@dataclass(slots=True)
class _Slot:
    """Where a process keeps the snapshot of one catalog name."""

    snapshot: Snapshot | None = None
    checked: float = float("-inf")  # monotonic seconds
    lock: threading.Lock = field(default_factory=threading.Lock)


_slots: dict[str, _Slot] = {}
_slots_lock = threading.Lock()


def current(name: str = "default") -> Snapshot:
    """The snapshot of a catalog, at most about a second behind.

    Raises
    ------
    UnknownCatalog
        There is no catalog of that name.
    """
    slot = _slot(name)
    found = slot.snapshot
    if found is not None and time.monotonic() - slot.checked < CHECK_SECONDS:
        return found
    # While another thread refreshes, the former snapshot serves; without one, wait for it.
    if not slot.lock.acquire(blocking=found is None):
        return found  # type: ignore[return-value]
    try:
        return _check(slot, name, force=False)
    finally:
        slot.lock.release()


def refresh(name: str = "default") -> Snapshot:
    """As `current`, but looks now."""
    slot = _slot(name)
    with slot.lock:
        return _check(slot, name, force=True)


def forget() -> None:
    """Drop every snapshot of this process."""
    with _slots_lock:
        _slots.clear()


def ages(now: datetime) -> dict[str, dict[str, float | int]]:
    """For each catalog the seconds since its last change or upload, and its live products."""
    found = {}
    for catalog_id, name, version, updated_at in Catalog.objects.values_list(
        "id", "name", "version", "updated_at"
    ).order_by("name"):
        found[name] = {
            "age_seconds": round((now - updated_at).total_seconds(), 3),
            "products": _count_products(catalog_id, version),
        }
    return found


_counts: dict[int, tuple[int, int]] = {}


def _count_products(catalog_id: int, version: int) -> int:
    """Counting a million rows takes a while, so once per version."""
    known = _counts.get(catalog_id)
    if known is None or known[0] != version:
        live = Product.objects.filter(catalog_id=catalog_id, deleted_at=None)
        known = _counts[catalog_id] = (version, live.count())
    return known[1]


def _slot(name: str) -> _Slot:
    found = _slots.get(name)
    if found is None:
        with _slots_lock:
            found = _slots.setdefault(name, _Slot())
    return found


def _check(slot: _Slot, name: str, *, force: bool) -> Snapshot:
    """Holds the slot's lock."""
    known = slot.snapshot
    if known and not force and time.monotonic() - slot.checked < CHECK_SECONDS:
        return known
    started = time.monotonic()
    # The version is read before the rows: what is committed in between is read twice, not missed.
    catalog = Catalog.objects.filter(name=name).first()
    if catalog is None:
        slot.snapshot = None
        with _slots_lock:
            _slots.pop(name, None)  # names that somebody made up must not pile up
        raise UnknownCatalog(name)
    if (
        known is None
        or known.catalog_id != catalog.pk
        or known.version > catalog.version
        or known.version < catalog.purged_version
    ):
        found = _load(catalog)
    elif known.version < catalog.version:
        found = _merge(known, catalog)
    else:
        found = known
    slot.snapshot, slot.checked = found, started
    return found


def _load(catalog: Catalog) -> Snapshot:
    """All live products, streamed."""
    started = time.monotonic()
    ids: list[str] = []
    builders = {
        name: builder(FORMS.get(name, kind)) for name, kind in COMMON.items() if name != "id"
    }
    columns = ", ".join(_sql_of(name) for name in FIELDS)
    query = f"""SELECT item_id, {columns} FROM catalog_product
        WHERE catalog_id = %s AND deleted_at IS NULL ORDER BY item_id COLLATE "C" """  # noqa: S608
    for rows in _stream(query, [catalog.pk]):
        cells = list(zip(*rows, strict=True))
        ids.extend(cells[0])
        for name, values in zip(FIELDS, cells[1:], strict=True):
            builders[name].extend(values)
    snapshot = _snapshot(catalog, ids, {name: built.finish() for name, built in builders.items()})
    seconds = round(time.monotonic() - started, 3)
    logger.info("catalog loaded", extra={"catalog": catalog.name, "seconds": seconds})
    return snapshot


def _snapshot(
    catalog: Catalog,
    ids: Sequence[str],
    columns: dict[str, Column],
    index: Mapping[str, int] | None = None,
) -> Snapshot:
    if index is None:
        index = {item_id: row for row, item_id in enumerate(ids)}
    types = {**catalog.columns, **COMMON}
    return Snapshot(catalog.pk, catalog.name, catalog.version, ids, index, types, columns)


def _load_own(snapshot: Snapshot, name: str, kind: str) -> Column:
    """One of the catalog's own columns, for the rows of this snapshot.

    Rows may be newer than the snapshot; then the next refresh brings the same values again.
    """
    if name == "id":
        return CodedColumn.of_ids(snapshot.ids, snapshot.index)
    query = """SELECT item_id, extra -> %s FROM catalog_product
        WHERE catalog_id = %s AND deleted_at IS NULL ORDER BY item_id COLLATE "C" """
    built = builder(kind)
    filled = 0
    for chunk in _stream(query, [name, snapshot.catalog_id]):
        values: list[object] = []
        for item_id, value in chunk:
            row = snapshot.index.get(item_id)
            if row is not None:
                values.extend([None] * (row - filled))
                values.append(fit(value and json.loads(value), kind))
                filled = row + 1
        built.extend(values)
    built.extend([None] * (len(snapshot) - filled))
    return built.finish()


def _merge(known: Snapshot, catalog: Catalog) -> Snapshot:
    """The next snapshot: what changed since, on top of what we have."""
    changed = Product.objects.filter(catalog_id=catalog.pk, version__gt=known.version)
    if changed.count() > MERGE_SHARE * len(known) + CHUNK:
        return _load(catalog)
    fields = ", ".join(_sql_of(name) for name in FIELDS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT item_id, deleted_at IS NULL, extra, {fields} FROM catalog_product
            WHERE catalog_id = %s AND version > %s ORDER BY item_id COLLATE "C" """,  # noqa: S608
            [catalog.pk, known.version],
        )
        rows = cursor.fetchall()
    live = [row for row in rows if row[1]]
    gone = {row[0] for row in rows if not row[1]}
    ids, index, change = _reorder(known, gone=gone, changed=[row[0] for row in live])
    columns = {}
    # A copy: another thread may read its first own column into the snapshot meanwhile.
    for name, column in tuple(known._columns.items()):
        if name in FIELDS:
            place = 3 + FIELDS.index(name)
            columns[name] = column.changed(change, [row[place] for row in live])
        elif name != "id" and catalog.columns.get(name) == known.types[name]:
            own = [fit(json.loads(row[2]).get(name), column.kind) for row in live]
            columns[name] = column.changed(change, own)
    return _snapshot(catalog, ids, columns, index)


def _reorder(
    known: Snapshot, *, gone: set[str], changed: Sequence[str]
) -> tuple[Sequence[str], Mapping[str, int], Change]:
    """Ids, index and change after some products went, came or changed."""
    new = [item_id for item_id in changed if item_id not in known.index]
    gone = {item_id for item_id in gone if item_id in known.index}
    if not new and not gone:
        ids, index, source = known.ids, known.index, None
    else:
        kept = [item_id for item_id in known.ids if item_id not in gone] if gone else known.ids
        ids = sorted([*kept, *new])
        index = {item_id: row for row, item_id in enumerate(ids)}
        former = (known.index.get(item_id, -1) for item_id in ids)
        source = np.fromiter(former, dtype=np.int64, count=len(ids))
    rows = np.array([index[item_id] for item_id in changed], dtype=np.int64)
    return ids, index, Change(source, rows)


def fit(value: object, kind: str) -> object:
    """A stored own value as its column's type has it; None where it does not fit.

    They part when an upload changed the type and a product was not in the file.
    """
    match kind:
        case "text":
            return as_text(value) or None
        case "list" if isinstance(value, list):
            return [word for one in value if (word := as_text(one))]
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "time" if isinstance(value, str):
            return value
    return None


def _sql_of(name: str) -> str:
    # As float8 a price needs no Decimal object per row; 14 digits fit without loss.
    return "price::float8" if name == "price" else name


def _stream(query: str, params: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a query, a chunk at a time, never all of them in this process."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, params)
        while chunk := cursor.fetchmany(CHUNK):
            yield chunk
