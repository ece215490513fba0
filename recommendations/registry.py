"""Which build of a catalog is live, and the way back.

Each process keeps the live artifact of a catalog mapped and asks at most once a second whether
another build took its place. A damaged artifact is passed over: the newest good one below it is
served, and where there is none, the popularity that its row remembers.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection, transaction

from engage.lib import locks
from recommendations import artifact, patch
from recommendations.artifact import Artifact
from recommendations.errors import DamagedArtifact, NothingToRollBack
from recommendations.models import Build

logger = logging.getLogger(__name__)
CHECK_SECONDS: Final = 1.0
NEVER: Final = float("-inf")
SERVABLE: Final = (Build.State.LIVE, Build.State.REPLACED)


@dataclass(slots=True)
class Held:
    """What this process serves for a catalog; `key` says from which rows it was chosen."""

    key: tuple[tuple[int, str, str], ...] = ()
    artifact: Artifact | None = None
    checked: float = NEVER  # on the clock that is passed in
    lock: threading.Lock = field(default_factory=threading.Lock)


held: dict[str, Held] = {}


def folder_of(build: Build) -> Path:
    return artifacts_dir() / build.artifact


def artifacts_dir() -> Path:
    return Path(settings.DATA_DIR) / "artifacts"


def patches_dir() -> Path:
    return Path(settings.DATA_DIR) / "patches"


def live(catalog: str, *, clock: Callable[[], float] = time.monotonic) -> Artifact | None:
    """The artifact to serve now; None when there is no good one."""
    mine = held.get(catalog) or held.setdefault(catalog, Held())
    if clock() - mine.checked < CHECK_SECONDS:
        return mine.artifact
    # While one thread maps a new build, the others serve the former; at the very first they wait.
    if mine.lock.acquire(blocking=mine.checked == NEVER):
        try:
            if clock() - mine.checked >= CHECK_SECONDS:
                refresh(catalog, mine)
                mine.checked = clock()
        finally:
            mine.lock.release()
    return mine.artifact


def forget() -> None:
    """Ask again at the next call: after publishing in this process, and between tests."""
    held.clear()


def refresh(catalog: str, mine: Held) -> None:
    """Choose anew when the candidates changed; otherwise keep what is mapped."""
    rows = list_servable(catalog)
    key = tuple((row.pk, row.checksum, row.patch_checksum) for row in rows)
    if mine.artifact is not None and not mine.artifact.is_unchanged():
        # Nobody serves it while it is looked at. Old patches go after two folds: then what lies
        # below one is whole, and a process that nobody asked for a while goes on from there.
        base = mine.artifact.base
        mine.key = ()
        mine.artifact = base if base is not None and base.is_unchanged() else None
    if key != mine.key:
        mine.artifact = first_good(rows, now_held=mine.artifact)
        mine.key = key


def list_servable(catalog: str) -> list[Build]:
    """The live build, then those below it that it or they replaced, newest first."""
    rows = Build.objects.filter(catalog=catalog, state__in=SERVABLE).exclude(artifact="")
    # Only builds older than the live one: what was rolled back from must not come back by itself.
    current = rows.filter(state=Build.State.LIVE).first()
    if current is None:
        return []
    older = rows.filter(state=Build.State.REPLACED, pk__lt=current.pk).order_by("-pk")
    return [current, *older[: settings.KEEP_BUILDS]]


def first_good(rows: list[Build], *, now_held: Artifact | None) -> Artifact | None:
    for row in rows:
        try:
            return patched(row, load(row, now_held=now_held))
        except DamagedArtifact as exc:
            logger.error("artifact damaged", extra={"build_id": row.pk, "detail": exc.detail})
    return None


def load(row: Build, *, now_held: Artifact | None) -> Artifact:
    """As it was built; pages that are held already were proved when they were mapped."""
    base = now_held and (now_held.base or now_held)
    if base is not None and base.build_id == row.pk and base.is_unchanged():
        return base
    return artifact.load(folder_of(row), checksum=row.checksum, build_id=row.pk)


def patched(row: Build, base: Artifact) -> Artifact:
    """With what was folded into it since; without, where that is damaged."""
    if not row.patch:
        return base
    try:
        return patch.apply(base, patches_dir() / row.patch, checksum=row.patch_checksum)
    except DamagedArtifact as exc:
        logger.error("patch damaged", extra={"build_id": row.pk, "detail": exc.detail})
        return base


def remembered(catalog: str) -> dict[str, list[str]]:
    """The lists of the newest build that has any, kept in its row: "sales" and "trend"."""
    lists = (
        Build.objects.filter(catalog=catalog)
        .exclude(popular={})
        .order_by("-pk")
        .values_list("popular", flat=True)
        .first()
    )
    return lists or {}


def publish(build: Build, *, now: datetime) -> None:
    """Make the build live. In the caller's transaction or its own."""
    with one_at_a_time(build.catalog):
        rows = Build.objects.filter(catalog=build.catalog, state=Build.State.LIVE)
        rows.exclude(pk=build.pk).update(state=Build.State.REPLACED)
        build.state, build.published_at = Build.State.LIVE, now
        build.save(update_fields=["state", "published_at"])
    forget()


@contextmanager
def one_at_a_time(catalog: str) -> Iterator[None]:
    """A transaction in which nobody else changes what is live: two rows change together."""
    with transaction.atomic(), connection.cursor() as cursor:
        locks.hold(cursor, f"live build of {catalog}")
        yield


def roll_back(catalog: str, *, live: int | None = None) -> Build:
    """Serve the build before the live one again; the one that was live counts as refused.

    Parameters
    ----------
    live : the build that the caller takes for the live one; the second click of two finds another

    Raises
    ------
    NothingToRollBack
        If there is no earlier build whose artifact is whole, or another one is live.
    """
    with one_at_a_time(catalog):
        rows = list_servable(catalog)
        if live is not None and (not rows or rows[0].pk != live):
            raise NothingToRollBack(f"Build {live} is not live any more.")
        for earlier in rows[1:]:
            if find_artifact(earlier):
                current = rows[0]
                current.state = Build.State.REFUSED
                current.reason = f"Rolled back to build {earlier.pk}."
                current.save(update_fields=["state", "reason"])
                earlier.state = Build.State.LIVE
                earlier.save(update_fields=["state"])
                forget()
                return earlier
    raise NothingToRollBack(f"Catalog {catalog!r} has no earlier build to go back to.")


def find_artifact(build: Build) -> Artifact | None:
    """None where it is damaged or gone."""
    try:
        return artifact.load(folder_of(build), checksum=build.checksum, build_id=build.pk)
    except DamagedArtifact:
        return None


def drop_old(catalog: str) -> None:
    """Remove all artifacts but `KEEP_BUILDS`: the live one and those it may fall back on.

    That of the newest build stays, too: refused, it can be looked at until the next one.
    """
    kept = {row.pk for row in list_servable(catalog)[: settings.KEEP_BUILDS]}
    if not kept:
        return
    written = Build.objects.filter(catalog=catalog).exclude(artifact="").order_by("-pk")
    for row in written[1:]:
        if row.pk in kept:
            continue
        # The row first: a row without a folder is harmless, a folder without a row stays for ever.
        folder = folder_of(row)
        patches = patches_dir() / row.artifact
        row.artifact = row.patch = ""
        row.save(update_fields=["artifact", "patch"])
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(patches, ignore_errors=True)


def model_ages(now: datetime) -> dict[str, float | None]:
    """Seconds since the data of the live build was read, per catalog that has ever been built."""
    catalogs = Build.objects.order_by().values_list("catalog", flat=True).distinct()
    started = dict(
        Build.objects.filter(state=Build.State.LIVE).values_list("catalog", "started_at")
    )
    return {
        name: (now - started[name]).total_seconds() if name in started else None
        for name in sorted(catalogs)
    }
