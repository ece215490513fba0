"""A file's way into a catalog: staged beside the live products, compared, guarded, then applied.

`stage` reads the file and leaves a report; `apply` makes it live, all or nothing. In between a
person may look. A product whose row was refused stays as it is.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any, BinaryIO, Final

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from catalog import staging
from catalog.columns import COMMON, MOST_OWN
from catalog.errors import InvalidFile, Problem, TooManyRemoved, UploadBusy, UploadRefused
from catalog.feed import Feed, RawRow
from catalog.idle_columns import without_idle
from catalog.models import Catalog, Upload
from catalog.rows import Row, read_row
from catalog.staging import Stage
from catalog.survey import Progress, Survey, take_survey
from engage.lib import failpoints, locks

logger = logging.getLogger(__name__)

MOST_REMOVED: Final = 0.4  # of the live products; above it somebody has to say so
REFUSED_SHOWN: Final = 100  # refused rows kept in the report


def stage(
    file: BinaryIO,
    *,
    file_name: str,
    catalog: str,
    now: datetime,
    types: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Upload:
    """Read a file and compare it with the live products; nothing goes live.

    Parameters
    ----------
    file : a file that can seek, open for bytes
    file_name : says the format
    catalog : its name; made when there is none
    types : own column → type, for columns that shall not be inferred
    progress : told the share that is done

    Raises
    ------
    InvalidFile
        The file cannot be used at all. Nothing was changed.
    UploadBusy
        Another upload of this catalog is being read or applied.
    """
    feed = Feed(file, file_name=file_name)
    with transaction.atomic(), connection.cursor() as cursor:
        found, is_new = _get_or_make(catalog)
        _take_lock(cursor, found)
        is_new = is_new or _is_still_new(found)
        _drop_former(cursor, found)
        halves = _Halves(progress)
        survey = take_survey(feed, known=found.columns, stated=types or {}, progress=halves.first)
        _check_width(_columns_after(cursor, found, survey.types))
        upload = Upload.objects.create(catalog=found, file_name=_name_of(file_name))
        planned = Stage(found.pk, upload.pk, survey.common, tuple(survey.types))
        staging.create(cursor, planned)
        refused = _Refused()
        lines = _copy_lines(feed, planned, survey, refused=refused, progress=halves.second)
        staging.fill(cursor, planned, lines)
        upload.report = _report(cursor, planned, survey, found, refused) | {"is_new": is_new}
        upload.save()
    return upload


def apply(upload: Upload, *, now: datetime, allow_removals: bool = False) -> Upload:
    """Make a staged file live in one transaction.

    Raises
    ------
    TooManyRemoved
        It stays staged: somebody may still allow it.
    UploadRefused
        It has no usable row, or a newer upload took its place.
    InvalidFile
        With the columns that came meanwhile there would be too many.
    UploadBusy
        Another upload of this catalog is being read or applied.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _take_lock(cursor, upload.catalog)
        catalog, upload = _hold(upload)
        if upload.state != Upload.State.STAGED:
            raise UploadRefused(
                f"This upload is {upload.state}: a newer one took its place, or it was applied."
            )
        planned = _planned(upload)
        if staging.count_rows(cursor, planned) != upload.report["staged"]:
            raise UploadRefused("What was read of this file is gone. Upload it again.")
        counts = _counts(cursor, planned, upload, catalog)
        _guard(counts, allow_removals=allow_removals)
        changes = counts["added"] + counts["changed"] + counts["removed"]
        if changes:
            _write(cursor, planned, counts, {"version": catalog.version + 1, "now": now})
        columns = _columns_after(cursor, catalog, upload.report["types"])
        _check_width(columns)
        dropped = sorted(set(catalog.columns) - set(columns))
        if changes or columns != catalog.columns:
            catalog.version += 1
            catalog.columns = columns
        Catalog.objects.filter(pk=catalog.pk).update(
            version=catalog.version, columns=catalog.columns, updated_at=now
        )
        failpoints.reach("C17")
        staging.drop(cursor, upload.pk)
        upload.state, upload.finished_at = Upload.State.APPLIED, now
        upload.report |= {**counts, "version": catalog.version, "dropped": dropped}
        upload.save()
    logger.info("upload applied", extra={"catalog": catalog.name, "changes": changes})
    return upload


def check(upload: Upload, *, allow_removals: bool = False) -> None:
    """Raise what `apply` would refuse the file with as things are; nothing is written.

    Raises
    ------
    TooManyRemoved, UploadRefused
    """
    _guard(upload.report, allow_removals=allow_removals)


def discard(upload: Upload, *, now: datetime, problem: str = "discarded") -> Upload:
    """Let a staged file go, and with a first one the catalog that was made for it.

    Raises
    ------
    UploadRefused
        It was applied or discarded meanwhile.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        catalog, upload = _hold(upload)
        if upload.state != Upload.State.STAGED:
            raise UploadRefused(f"This upload is {upload.state} already.")
        staging.drop(cursor, upload.pk)
        upload.state, upload.finished_at = Upload.State.REFUSED, now
        upload.report = {**upload.report, "problem": problem}
        upload.save()
        if upload.report.get("is_new") and not catalog.version:  # nor filled through the API
            catalog.delete()
    return upload


@contextmanager
def rehearsal() -> Iterator[None]:
    """Whatever is staged inside is gone afterwards, a catalog made for it included."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _hold(upload: Upload) -> tuple[Catalog, Upload]:
    """Both rows, until the end.

    Writers through the API take the catalog's first, too, so versions are committed in order.
    """
    catalog = Catalog.objects.select_for_update(no_key=True).filter(pk=upload.catalog_id).first()
    found = Upload.objects.select_for_update().filter(pk=upload.pk).first()
    if catalog is None or found is None:
        raise UploadRefused("This upload is discarded already.")
    return catalog, found


def _counts(cursor: Any, planned: Stage, upload: Upload, catalog: Catalog) -> dict[str, int]:
    """Against what is live now: counted again where something changed since the staging."""
    if upload.report["base_version"] == catalog.version:
        return {name: upload.report[name] for name in staging.COUNTS}
    return staging.count(cursor, planned)


def _columns_after(cursor: Any, catalog: Catalog, brought: Mapping[str, str]) -> dict[str, str]:
    """Own columns of the catalog with those of the file; without idle ones it does not bring."""
    columns = {**catalog.columns, **brought}
    return without_idle(cursor, catalog.pk, columns, kept=brought)


def _write(
    cursor: Any, planned: Stage, counts: Mapping[str, int], params: Mapping[str, Any]
) -> None:
    if counts["removed"]:
        staging.mark_removed(cursor, planned, params)
    if counts["changed"]:
        staging.write_changed(cursor, planned, params)
    if counts["added"]:
        staging.write_added(cursor, planned, params)


def _guard(counts: Mapping[str, int], *, allow_removals: bool) -> None:
    if not counts["added"] + counts["changed"] + counts["unchanged"]:
        raise UploadRefused("No row of the file can be used, so nothing was changed.")
    removed, live = counts["removed"], counts["live"]
    if removed > MOST_REMOVED * live and not allow_removals:
        raise TooManyRemoved(
            f"The file would remove {removed:,} of {live:,} products ({100 * removed / live:.0f}"
            f" %), more than {100 * MOST_REMOVED:.0f} %. Is the file complete?"
        )


def _get_or_make(name: str) -> tuple[Catalog, bool]:
    """The catalog, and whether it was made just now."""
    catalog = Catalog.objects.filter(name=name).first()
    if catalog is not None:
        return catalog, False
    try:
        Catalog(name=name).clean_fields()
    except ValidationError as exc:
        raise InvalidFile(f"The catalog's name “{name[:60]}”: {exc.messages[0]}") from exc
    return Catalog.objects.get_or_create(name=name)


def _is_still_new(catalog: Catalog) -> bool:
    """It was made for a file that still waits, whose place another one takes."""
    return catalog.uploads.filter(state=Upload.State.STAGED, report__is_new=True).exists()


def _take_lock(cursor: Any, catalog: Catalog) -> None:
    if not locks.try_hold(cursor, f"catalog upload {catalog.pk}"):
        raise UploadBusy(
            f"Another upload of catalog “{catalog.name}” is under way. Try again when it is done."
        )


def _drop_former(cursor: Any, catalog: Catalog) -> None:
    """A new upload takes the place of one that still waits; tables without an upload go too."""
    catalog.uploads.filter(state=Upload.State.STAGED).update(state=Upload.State.REFUSED)
    cursor.execute(
        "SELECT substring(relname FROM %s)::bigint FROM pg_class WHERE relkind = 'r'"
        " AND relname ~ %s AND relnamespace = to_regnamespace(current_schema())",
        [f"^{staging.PREFIX}([0-9]+)$", f"^{staging.PREFIX}[0-9]+$"],
    )
    tables = {row[0] for row in cursor.fetchall()}
    waiting = Upload.objects.filter(pk__in=tables, state=Upload.State.STAGED)
    for orphan in sorted(tables - set(waiting.values_list("pk", flat=True))):
        staging.drop(cursor, orphan)


def _name_of(file_name: str) -> str:
    """As it can be stored: the name of a file may be bytes that are no text."""
    return PurePath(file_name).name.encode(errors="replace").decode()[-255:]


def _check_width(columns: Mapping[str, str]) -> None:
    if len(columns) > MOST_OWN:
        raise InvalidFile(f"The catalog would have more than {MOST_OWN} columns of its own.")


# --- reading ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Refused:
    """Counts refused rows and keeps the first."""

    count: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)

    def add(self, line: int, item_id: str, problem: Problem) -> None:
        if len(self.shown) < REFUSED_SHOWN:
            self.shown.append(_shown(line, item_id, problem))


def _shown(line: int, item_id: str, problem: Problem) -> dict[str, Any]:
    return {
        "line": line,
        "id": item_id,
        "column": problem.path,
        "reason": problem.message,
    }


@dataclass(slots=True)
class _Halves:
    """Two readings of the file, one progress."""

    progress: Progress | None

    def first(self, share: float) -> None:
        if self.progress:
            self.progress(share / 2)

    def second(self, share: float) -> None:
        if self.progress:
            self.progress(0.5 + share / 2)


def _copy_lines(
    feed: Feed, planned: Stage, survey: Survey, *, refused: _Refused, progress: Progress
) -> Iterator[str]:
    """Every row of the file as a line for the staging table; refused ones only by their id."""
    for number, raw in enumerate(feed.rows(), start=1):
        row = _read(raw, survey, typed=feed.typed)
        if row.problems:
            refused.count += 1
            for problem in row.problems:
                refused.add(raw.line, row.id, problem)
        if row.id:
            yield staging.copy_line(planned, row, line=raw.line)
        if number % 1_000 == 0:
            progress(feed.position / max(feed.size, 1))


def _read(raw: RawRow, survey: Survey, *, typed: bool) -> Row:
    if raw.problem:
        named = {survey.columns.get(name): value for name, value in raw.cells.items()}
        row = read_row({"id": named.get("id", "")}, types={}, typed=typed)
        row.problems = [raw.problem]
        return row
    cells = {survey.columns[name]: value for name, value in raw.cells.items() if value is not None}
    # What JSON leaves out is as missing as an empty cell.
    return read_row({"id": "", "name": "", **cells}, types=survey.types, typed=typed)


def _report(
    cursor: Any, planned: Stage, survey: Survey, catalog: Catalog, refused: _Refused
) -> dict[str, Any]:
    repeated = [
        _shown(line, item_id, Problem("id", problem))
        for line, item_id, problem in staging.list_repeated(cursor, planned, limit=REFUSED_SHOWN)
    ]
    rows = sorted([*refused.shown, *repeated], key=lambda row: int(row["line"]))
    return {
        **staging.count(cursor, planned),
        "base_version": catalog.version,
        "staged": staging.count_rows(cursor, planned),
        "refused": refused.count + staging.count_repeated(cursor, planned),
        "refused_rows": rows[:REFUSED_SHOWN],
        "examples": staging.list_examples(cursor, planned),
        "common": list(planned.common),
        "types": dict(survey.types),
        "renamed": survey.renamed,
        "retyped": {
            name: [catalog.columns[name], kind]
            for name, kind in survey.types.items()
            if catalog.columns.get(name, kind) != kind
        },
        "columns": {**{name: COMMON[name] for name in ("id", *planned.common)}, **survey.types},
    }


def _planned(upload: Upload) -> Stage:
    report = upload.report
    return Stage(upload.catalog_id, upload.pk, tuple(report["common"]), tuple(report["types"]))
