"""The staging table of an upload: the file's rows beside the live ones, and how they differ.

All work is done by the database, set by set; this process never holds more than a few rows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from catalog.rows import Row
from engage.lib.bulk import NULL, escape

EXAMPLES: Final = 5
COLUMNS: Final = {
    "name": "text",
    "category": "text",
    "price": "numeric(14, 2)",
    "currency": "text",
    "image_url": "text",
    "url": "text",
    "in_stock": "boolean",
    "group_id": "text",
}
# What a new product has in a column that the file does not bring.
DEFAULTS: Final = {"price": "NULL", "in_stock": "true"}
COUNTS: Final = ("added", "changed", "unchanged", "removed", "live")
PREFIX: Final = "catalog_stage_"


@dataclass(frozen=True, slots=True)
class Stage:
    """One upload's table. `common` and `own` are the columns that the file brings."""

    catalog_id: int
    upload_id: int
    common: Sequence[str]
    own: Sequence[str]

    @property
    def table(self) -> str:
        return f"{PREFIX}{self.upload_id}"

    @property
    def changed(self) -> str:
        """SQL: the staged row `s` says something else than the product `p`."""
        parts = [f"s.{name} IS DISTINCT FROM p.{name}" for name in self.common]
        return " OR ".join([*parts, f"{self.extra} <> p.extra"])

    @property
    def extra(self) -> str:
        """SQL: own columns after the upload; those that the file does not bring stay."""
        return "((p.extra - %(own)s::text[]) || s.extra)"

    @property
    def params(self) -> dict[str, Any]:
        return {"catalog": self.catalog_id, "own": list(self.own)}


def create(cursor: Any, stage: Stage) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    # Unlogged: written once, read once; after a crash the upload is simply started again.
    cursor.execute(
        f"CREATE UNLOGGED TABLE {stage.table} "
        f"(line bigint, item_id text, problem text, extra jsonb, {columns})"
    )


def drop(cursor: Any, upload_id: int) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {PREFIX}{upload_id}")


def fill(cursor: Any, stage: Stage, lines: Iterator[str]) -> None:
    """COPY lines made by `copy_line`, then see which ids stand there twice."""
    columns = ", ".join(("line", "item_id", "problem", "extra", *stage.common))
    cursor.copy_expert(f"COPY {stage.table} ({columns}) FROM STDIN", _Reader(lines), size=1 << 16)
    # With the index no plan is a bad one, however wrong the planner is about the live products.
    cursor.execute(f"CREATE INDEX ON {stage.table} (item_id)")
    cursor.execute(f"ANALYZE {stage.table}")
    cursor.execute(
        f"""UPDATE {stage.table} s SET problem = 'is the same as in line ' || f.line
        FROM (SELECT item_id, min(line) AS line FROM {stage.table} WHERE problem IS NULL
              GROUP BY item_id HAVING count(*) > 1) f
        WHERE s.item_id = f.item_id AND s.line <> f.line AND s.problem IS NULL"""  # noqa: S608
    )


def copy_line(stage: Stage, row: Row, *, line: int) -> str:
    """A refused row is staged by its id alone: its product stays as it is."""
    if row.problems:
        blank = [NULL] * len(stage.common)
        return "\t".join([str(line), escape(row.id), "refused", NULL, *blank]) + "\n"
    extra = escape(msgspec.json.encode(row.own).decode()) if row.own else "{}"
    cells = [_cell(row.common.get(name), name) for name in stage.common]
    return "\t".join([str(line), escape(row.id), NULL, extra, *cells]) + "\n"


def _cell(value: object, name: str) -> str:
    if value is None:
        return "t" if name == "in_stock" else NULL if name == "price" else ""
    if isinstance(value, bool):
        return "t" if value else "f"
    return escape(str(value))


class _Reader:
    """Gives lines as the bytes that COPY asks for."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.rest = b""

    def read(self, size: int) -> bytes:
        parts = [self.rest]
        length = len(self.rest)
        while length < size:
            chunk = "".join(islice(self.lines, 100)).encode()
            if not chunk:
                break
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        self.rest = data[size:]
        return data[:size]


def count_rows(cursor: Any, stage: Stage) -> int:
    """-1 where the table is gone; PostgreSQL empties unlogged tables when it crashes."""
    cursor.execute("SELECT to_regclass(%s) IS NULL", [stage.table])
    if cursor.fetchone()[0]:
        return -1
    cursor.execute(f"SELECT count(*) FROM {stage.table}")  # noqa: S608
    return int(cursor.fetchone()[0])


# --- differences ---------------------------------------------------------------------------------


def count(cursor: Any, stage: Stage) -> dict[str, int]:
    """Products added, changed, unchanged, removed, and live before."""
    cursor.execute(
        f"""SELECT count(*) FILTER (WHERE p.id IS NULL),
            count(*) FILTER (WHERE p.id IS NOT NULL AND ({stage.changed})),
            count(*)
        FROM {stage.table} s LEFT JOIN catalog_product p
            ON p.catalog_id = %(catalog)s AND p.item_id = s.item_id AND p.deleted_at IS NULL
        WHERE s.problem IS NULL""",  # noqa: S608
        stage.params,
    )
    added, changed, usable = cursor.fetchone()
    cursor.execute(
        f"""SELECT count(*), count(*) FILTER (WHERE {_absent(stage)}) FROM catalog_product p
        WHERE p.catalog_id = %(catalog)s AND p.deleted_at IS NULL""",  # noqa: S608
        stage.params,
    )
    live, removed = cursor.fetchone()
    figures = (added, changed, usable - added - changed, removed, live)
    return dict(zip(COUNTS, figures, strict=True))


def _absent(stage: Stage) -> str:
    return f"NOT EXISTS (SELECT 1 FROM {stage.table} s WHERE s.item_id = p.item_id)"  # noqa: S608


def list_examples(cursor: Any, stage: Stage) -> dict[str, list[dict[str, Any]]]:
    """A few products of each kind of difference, for people."""
    live = "p.catalog_id = %(catalog)s AND p.deleted_at IS NULL"
    joined = f"{stage.table} s LEFT JOIN catalog_product p ON p.item_id = s.item_id AND {live}"
    cursor.execute(
        f"""SELECT s.item_id, s.name FROM {joined}
        WHERE s.problem IS NULL AND p.id IS NULL ORDER BY s.line LIMIT {EXAMPLES}""",  # noqa: S608
        stage.params,
    )
    added = [{"id": item_id, "name": name} for item_id, name in cursor.fetchall()]
    cursor.execute(
        f"""SELECT p.item_id, p.name FROM catalog_product p
        WHERE {live} AND {_absent(stage)} ORDER BY p.item_id LIMIT {EXAMPLES}""",  # noqa: S608
        stage.params,
    )
    removed = [{"id": item_id, "name": name} for item_id, name in cursor.fetchall()]
    cursor.execute(
        f"""SELECT s.item_id, to_jsonb(p)::text,
            (to_jsonb(s) || jsonb_build_object('extra', {stage.extra}))::text FROM {joined}
        WHERE s.problem IS NULL AND p.id IS NOT NULL AND ({stage.changed})
        ORDER BY s.line LIMIT {EXAMPLES}""",  # noqa: S608
        stage.params,
    )
    changed = [
        {"id": item_id, "was_now": _differences(json.loads(old), json.loads(new), stage)}
        for item_id, old, new in cursor.fetchall()
    ]
    return {"added": added, "changed": changed, "removed": removed}


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], stage: Stage
) -> dict[str, list[Any]]:
    before = {**{name: old[name] for name in stage.common}, **old["extra"]}
    after = {**{name: new[name] for name in stage.common}, **new["extra"]}
    names = sorted({*before, *after})
    return {
        name: [before.get(name), after.get(name)]
        for name in names
        if before.get(name) != after.get(name)
    }


def list_repeated(cursor: Any, stage: Stage, *, limit: int) -> list[tuple[int, str, str]]:
    """Line, id and problem of rows whose id stood there before."""
    cursor.execute(
        f"""SELECT line, item_id, problem FROM {stage.table}
        WHERE problem <> 'refused' ORDER BY line LIMIT %s""",  # noqa: S608
        [limit],
    )
    return list(cursor.fetchall())


def count_repeated(cursor: Any, stage: Stage) -> int:
    cursor.execute(f"SELECT count(*) FROM {stage.table} WHERE problem <> 'refused'")  # noqa: S608
    return int(cursor.fetchone()[0])


# --- going live ----------------------------------------------------------------------------------


def write_changed(cursor: Any, stage: Stage, params: Mapping[str, Any]) -> None:
    sets = "".join(f"{name} = s.{name}, " for name in stage.common)
    cursor.execute(
        f"""UPDATE catalog_product p
        SET {sets} extra = {stage.extra}, version = %(version)s, updated_at = %(now)s
        FROM {stage.table} s
        WHERE p.catalog_id = %(catalog)s AND p.item_id = s.item_id AND s.problem IS NULL
            AND p.deleted_at IS NULL AND ({stage.changed})""",  # noqa: S608
        {**stage.params, **params},
    )


def write_added(cursor: Any, stage: Stage, params: Mapping[str, Any]) -> None:
    """A product that comes back is a new one: nothing of its former life is left."""
    cursor.execute(
        f"""DELETE FROM catalog_product p USING {stage.table} s
        WHERE p.catalog_id = %(catalog)s AND p.item_id = s.item_id AND s.problem IS NULL
            AND p.deleted_at IS NOT NULL""",  # noqa: S608
        stage.params,
    )
    values = ", ".join(
        f"s.{name}" if name in stage.common else DEFAULTS.get(name, "''") for name in COLUMNS
    )
    cursor.execute(
        f"""INSERT INTO catalog_product
            (catalog_id, item_id, {", ".join(COLUMNS)}, extra, version, first_seen, updated_at)
        SELECT %(catalog)s, s.item_id, {values}, s.extra, %(version)s, %(now)s, %(now)s
        FROM {stage.table} s WHERE s.problem IS NULL AND NOT EXISTS (
            SELECT 1 FROM catalog_product p
            WHERE p.catalog_id = %(catalog)s AND p.item_id = s.item_id)""",  # noqa: S608
        {**stage.params, **params},
    )


def mark_removed(cursor: Any, stage: Stage, params: Mapping[str, Any]) -> None:
    cursor.execute(
        f"""UPDATE catalog_product p
        SET deleted_at = %(now)s, version = %(version)s, updated_at = %(now)s
        WHERE p.catalog_id = %(catalog)s AND p.deleted_at IS NULL AND {_absent(stage)}""",  # noqa: S608
        {**stage.params, **params},
    )
