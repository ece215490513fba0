"""Single products through the API: up to a thousand at once, each judged for itself.

A change is committed with a new version of the catalog, so every process has it a second later.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, transaction
from psycopg2.errors import LockNotAvailable
from psycopg2.extras import execute_values

from catalog.columns import COMMON, MOST_OWN, Evidence, find_name_problem, plain
from catalog.errors import Problem, UnknownCatalog, UnknownItem
from catalog.idle_columns import without_idle
from catalog.models import Catalog, Product
from catalog.rows import Row, read_row
from catalog.values import UNPRINTABLE, as_text, printable
from engage.lib.errors import InvalidInput, Unavailable

MOST_ITEMS: Final = 1_000
MOST_LISTED: Final = 1_000
LOCK_SECONDS: Final = 5  # an upload that goes live holds the catalog for as long as it writes
FIELDS: Final = tuple(name for name in COMMON if name != "id")
BLANK: Final[Mapping[str, Any]] = {
    "name": "",
    "category": "",
    "price": None,
    "currency": "",
    "image_url": "",
    "url": "",
    "in_stock": True,
    "group_id": "",
}
# `p` is the row as it is. Rows that would not change keep their version.
WRITE: Final = f"""
INSERT INTO catalog_product AS p
    (catalog_id, item_id, {", ".join(FIELDS)}, extra, version, first_seen, updated_at)
VALUES %s
ON CONFLICT (catalog_id, item_id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in FIELDS)}, extra = excluded.extra,
    version = excluded.version, updated_at = excluded.updated_at, deleted_at = NULL,
    first_seen = CASE WHEN p.deleted_at IS NULL THEN p.first_seen ELSE excluded.first_seen END
WHERE p.deleted_at IS NOT NULL OR
    ({", ".join(f"p.{name}" for name in FIELDS)}, p.extra) IS DISTINCT FROM
    ({", ".join(f"excluded.{name}" for name in FIELDS)}, excluded.extra)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Rejected:
    index: int
    id: str
    code: str  # invalid_item, duplicate_id, unknown_item
    message: str


@dataclass(slots=True)
class Written:
    """What became of each item; the others were accepted."""

    accepted: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    items: list[dict[str, Any]]
    next: str | None  # hand it in as `after` for the next page
    version: int


def upsert(catalog: str, items: Sequence[object], *, now: datetime) -> Written:
    """Put whole products in place; what an item does not say is empty. Safe to run twice.

    A catalog that does not exist is made.

    Raises
    ------
    InvalidInput
        Too many items or columns, or a name that no catalog can have.
    Unavailable
        An upload is going live at this moment.
    """
    _check_length(items)
    _check_name(catalog)

    def judge(row: Row, index: int) -> dict[str, Any]:
        return {**BLANK, **row.common, "extra": row.own}

    with _locked(catalog, make=True) as found:
        return _write(found, items, judge=judge, now=now, whole=True)


def patch(catalog: str, items: Sequence[object], *, now: datetime) -> Written:
    """Change the columns that each item names; `null` empties one. Safe to run twice.

    Raises
    ------
    InvalidInput, UnknownCatalog, Unavailable
    """
    _check_length(items)
    with _locked(catalog) as found:
        asked = [item["id"] for item in items if isinstance(item, Mapping) and "id" in item]
        live = _live(found, [text.strip() for one in asked if (text := as_text(one))])

        def judge(row: Row, index: int) -> dict[str, Any] | None:
            before = live.get(row.id)
            if before is None:
                return None
            named = _mapping(items[index])  # `row.own` has those that are not empty
            kept = {name: v for name, v in before["extra"].items() if name not in named}
            return {**before, **row.common, "extra": {**kept, **row.own}}

        return _write(found, items, judge=judge, now=now, whole=False)


def delete(catalog: str, ids: Sequence[object], *, now: datetime) -> Written:
    """Take products out by id.

    Raises
    ------
    InvalidInput, UnknownCatalog, Unavailable
    """
    _check_length(ids)
    with _locked(catalog) as found:
        wanted = [(as_text(one) or "").strip() for one in ids]
        live = _live(found, wanted)
        written = Written(version=found.version)
        for index, item_id in enumerate(wanted):
            if item_id not in live:
                message = f"there is no item {item_id[:80]!r}"
                written.rejected.append(Rejected(index, item_id[:255], "unknown_item", message))
        gone = sorted(set(wanted) & set(live))
        written.accepted = len(wanted) - len(written.rejected)
        if gone:
            written.version = _bump(found, now=now)
            Product.objects.filter(catalog=found, item_id__in=gone).update(
                deleted_at=now, updated_at=now, version=found.version
            )
        return written


def get(catalog: str, item_id: str) -> dict[str, Any]:
    """One product. Raises `UnknownCatalog` or `UnknownItem`."""
    found = _live(_get_catalog(catalog), [item_id])
    if item_id not in found:
        raise UnknownItem(item_id, catalog=catalog)
    return as_item(item_id, found[item_id])


def list_page(catalog: str, *, after: str = "", limit: int = 100) -> Page:
    """Products in the order of their ids, so many after an id."""
    found = _get_catalog(catalog)
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidInput(f"limit is {limit}, expected 1 to {MOST_LISTED}.")
    if "\x00" in after:
        raise InvalidInput("after has a NUL character.")
    live = Product.objects.filter(catalog=found, deleted_at=None, item_id__gt=after)
    rows = live.order_by("item_id").values("item_id", *FIELDS, "extra")[: limit + 1]
    items = [as_item(row.pop("item_id"), row) for row in rows]
    more = len(items) > limit
    items = items[:limit]
    return Page(items, items[-1]["id"] if more else None, found.version)


def as_item(item_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A product as the API shows and takes it: own columns beside the common ones."""
    price = row["price"]
    common = {name: row[name] for name in FIELDS}
    return {
        **row["extra"],
        "id": item_id,
        **common,
        "price": None if price is None else f"{price:.2f}",
    }


# --- reading -------------------------------------------------------------------------------------


def _check_length(items: Sequence[object]) -> None:
    if not 1 <= len(items) <= MOST_ITEMS:
        raise InvalidInput(f"There are {len(items):,} items, expected 1 to {MOST_ITEMS:,}.")


def _check_name(name: str) -> None:
    try:
        Catalog(name=name).clean_fields()
    except ValidationError as exc:
        raise InvalidInput(f"The catalog's name {name[:60]!r}: {exc.messages[0]}") from exc


def _get_catalog(name: str) -> Catalog:
    found = None if "\x00" in name else Catalog.objects.filter(name=name).first()
    if found is None:
        raise UnknownCatalog(name)
    return found


def _live(catalog: Catalog, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    usable = [item_id for item_id in ids if not UNPRINTABLE.search(item_id)]
    rows = Product.objects.filter(catalog=catalog, deleted_at=None, item_id__in=usable)
    return {row.pop("item_id"): row for row in rows.values("item_id", *FIELDS, "extra")}


def _mapping(item: object) -> Mapping[str, Any]:
    return item if isinstance(item, Mapping) else {}


def _infer(items: Sequence[object], known: Mapping[str, str]) -> dict[str, str]:
    """Types of own columns: those of the catalog, and new ones by the values they bring."""
    evidence: dict[str, Evidence] = {}
    for item in items:
        for name, value in _mapping(item).items():
            if name not in COMMON and name not in known:
                evidence.setdefault(name, Evidence(typed=True)).add(value)
    return {**known, **{name: seen.type() for name, seen in evidence.items()}}


def _read(item: object, types: Mapping[str, str], *, whole: bool) -> Row:
    if not isinstance(item, Mapping):
        return Row("", problems=[Problem("", "expected an object with an id")])
    needed = {"id": "", "name": ""} if whole else {"id": ""}
    row = read_row({**needed, **item}, types=types, typed=True)
    for name in item:
        if name not in COMMON and (problem := _name_problem(name)):
            row.problems.append(Problem(printable(name, longest=60), problem))
    if item.get("in_stock", True) in (None, ""):
        row.problems.append(Problem("in_stock", "expected true or false"))
    return row


def _name_problem(name: str) -> str | None:
    if plain(name) in COMMON:
        return f"is written “{plain(name)}” here"
    return find_name_problem(name)


# --- writing -------------------------------------------------------------------------------------


@contextmanager
def _locked(name: str, *, make: bool = False) -> Iterator[Catalog]:
    """The catalog's row held until the end, so that versions are committed in their order."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        try:
            with transaction.atomic():
                if make:  # which waits where the first upload is making it at this moment
                    Catalog.objects.get_or_create(name=name)
                found = _get_catalog(name)
                held = Catalog.objects.select_for_update(no_key=True).filter(pk=found.pk).first()
        except OperationalError as exc:
            if isinstance(exc.__cause__, LockNotAvailable):
                raise Unavailable("An upload of this catalog is under way. Try again.") from exc
            raise
        if held is None:  # made for a file that was discarded at this moment
            raise Unavailable("The first upload of this catalog was discarded. Try again.")
        yield held
        if make and not held.version:  # made for this call, and nothing came of it
            transaction.set_rollback(True)


def _write(
    catalog: Catalog,
    items: Sequence[object],
    *,
    judge: Callable[[Row, int], dict[str, Any] | None],
    now: datetime,
    whole: bool,
) -> Written:
    """Read each item, let `judge` say what its row becomes (None: unknown), write what is good."""
    types = _infer(items, catalog.columns)
    written = Written(version=catalog.version)
    rows: dict[str, dict[str, Any]] = {}
    for index, item in enumerate(items):
        row = _read(item, types, whole=whole)
        refused = _refusal(row, index, seen=rows)
        if refused is None and (after := judge(row, index)) is not None:
            rows[row.id] = after
        else:
            unknown = Rejected(index, row.id, "unknown_item", f"there is no item {row.id[:80]!r}")
            written.rejected.append(refused or unknown)
    written.accepted = len(rows)
    if rows:
        _take_columns(catalog, rows, types)
        written.version = _bump(catalog, now=now)
        _store(catalog, rows, now=now)
    return written


def _refusal(row: Row, index: int, *, seen: Mapping[str, Any]) -> Rejected | None:
    if row.problems:
        message = "; ".join(str(problem) for problem in row.problems)
        return Rejected(index, row.id, "invalid_item", message)
    if row.id in seen:
        message = "the same id stands earlier in this request"
        return Rejected(index, row.id, "duplicate_id", message)
    return None


def _take_columns(
    catalog: Catalog, rows: Mapping[str, Mapping[str, Any]], types: Mapping[str, str]
) -> None:
    used = {name for row in rows.values() for name in row["extra"]}
    catalog.columns = {**catalog.columns, **{name: types[name] for name in sorted(used)}}
    if len(catalog.columns) > MOST_OWN:
        with connection.cursor() as cursor:
            catalog.columns = without_idle(cursor, catalog.pk, catalog.columns, kept=used)
    if len(catalog.columns) > MOST_OWN:
        raise InvalidInput(f"The catalog would have more than {MOST_OWN} columns of its own.")


def _bump(catalog: Catalog, *, now: datetime) -> int:
    catalog.version += 1
    Catalog.objects.filter(pk=catalog.pk).update(
        version=catalog.version, columns=catalog.columns, updated_at=now
    )
    return catalog.version


def _store(catalog: Catalog, rows: Mapping[str, Mapping[str, Any]], *, now: datetime) -> None:
    values = [
        (
            catalog.pk,
            item_id,
            *(row[name] for name in FIELDS),
            json.dumps(row["extra"]),
            catalog.version,
            now,
            now,
        )
        for item_id, row in rows.items()
    ]
    with connection.cursor() as cursor:
        execute_values(cursor, WRITE, values, page_size=MOST_ITEMS)
