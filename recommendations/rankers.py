"""Which ranker of a catalog is live: trained on what was shown, let in by its gate, switched off.

A ranker orders the candidates inside a rung. It is files beside a row, as a build is; where they
are damaged it is passed over, and the plain order is served.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from recommendations import array_files, registry, threads
from recommendations.algorithms import trees
from recommendations.algorithms.trees import Trees
from recommendations.array_files import Kind, Stamp
from recommendations.errors import DamagedArtifact, NoSuchRanker
from recommendations.features import FEATURES
from recommendations.models import Ranker
from recommendations.sufficiency import LEARNED, find_missing

logger = logging.getLogger(__name__)
State = Ranker.State
USABLE: Final = (State.REPLACED, State.OFF)  # by hand
CHECK_SECONDS: Final = 4.0
KEPT: Final = 5  # folders per catalog: the live one and those that may be used again
NOT_BETTER: Final = "It is not better than the order that was shown by more than luck."
TOO_FEW: Final = "Too few lists with a click are held back to judge it by."
HELD: Final = "It is better; ranking was switched off by hand, so it waits to be used."


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """What this process ranks by."""

    pk: int
    trees: Trees
    folder: Path
    stamp: Stamp


@dataclass(slots=True)
class Held:
    checked: float
    key: tuple[int, str] | None = None
    ranker: Live | None = None


KINDS: Final[Mapping[str, Kind]] = {
    "item_text": ("|u1", ("text",)),  # the names of the features
    "item_start": ("<i8", ("names + 1",)),
    **trees.KINDS,
}
held: dict[str, Held] = {}


def live(catalog: str, *, clock: Callable[[], float] = time.monotonic) -> Live | None:
    """The ranker to serve by; None where there is none, or it is damaged."""
    mine = held.get(catalog)
    if mine is not None and clock() - mine.checked < CHECK_SECONDS:
        return mine.ranker
    mine = mine or Held(clock())
    mine.checked = clock()  # two threads may both look: they find the same
    refresh(catalog, mine)
    held[catalog] = mine
    return mine.ranker


def refresh(catalog: str, mine: Held) -> None:
    row = Ranker.objects.filter(catalog=catalog, state=State.LIVE).first()
    key = (row.pk, row.checksum) if row else None
    if mine.ranker is not None and not is_unchanged(mine.ranker):
        mine.key = mine.ranker = None
    if key != mine.key:
        mine.ranker = find(row) if row else None
        mine.key = key


def is_unchanged(ranker: Live) -> bool:
    try:
        return array_files.stamp_of(ranker.folder) == ranker.stamp
    except OSError:
        return False


def forget() -> None:
    """Look again at the next call."""
    held.clear()


# --- files -----------------------------------------------------------------------------------


def folder_of(row: Ranker) -> Path:
    return Path(settings.DATA_DIR) / "rankers" / row.artifact


def write(row: Ranker, learned: Trees) -> None:
    row.artifact = f"{row.catalog}-{row.pk}"
    folder = folder_of(row)
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was killed before its row
    row.checksum = array_files.write_folder(
        folder, learned._asdict(), KINDS, item_ids=list(FEATURES), facts={}
    )


def find(row: Ranker) -> Live | None:
    """None where it is damaged, gone, or of a release that looked at other things."""
    try:
        return load(row)
    except DamagedArtifact as exc:
        logger.error("ranker damaged", extra={"ranker_id": row.pk, "detail": exc.detail})
        return None


def load(row: Ranker) -> Live:
    folder = folder_of(row)
    stamp, arrays, names, _ = array_files.read_folder(
        folder, lambda facts: KINDS, check, checksum=row.checksum
    )
    if names != list(FEATURES):
        raise DamagedArtifact(
            f"The ranker in {folder.name} is of another release.", detail=", ".join(names)
        )
    return Live(row.pk, Trees(**{name: arrays[name] for name in trees.KINDS}), folder, stamp)


def check(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    trees.check(Trees(**{name: arrays[name] for name in trees.KINDS}), n_features=len(FEATURES))


def drop_old(catalog: str) -> None:
    """The row first: a row without a folder is harmless."""
    rows = Ranker.objects.filter(catalog=catalog).exclude(artifact="").order_by("-pk")
    for row in rows.exclude(state=State.LIVE)[KEPT - 1 :]:
        folder = folder_of(row)
        row.artifact = ""
        row.save(update_fields=["artifact"])
        shutil.rmtree(folder, ignore_errors=True)


# --- training and the gate -------------------------------------------------------------------


def train(catalog: str, table: NDArray[np.float64], clicked: NDArray[np.bool_],
          lists: NDArray[np.int64], ts_ms: NDArray[np.int64], blocks: NDArray[np.int64],
          *, now: datetime) -> Ranker:  # fmt: skip
    """Learn from what was shown, as `algorithms.clicks.Shown` has it; go live, or say why not.

    Safe to run twice: the second learns the same, and is measured against the same lists.
    """
    from recommendations.algorithms import clicks  # scikit-learn takes a second to import

    shown = clicks.Shown(table, clicked, lists, ts_ms, blocks)
    row = Ranker.objects.filter(catalog=catalog, state=State.WAITING).first()
    row = row or Ranker(catalog=catalog)
    row.state, row.trained_at = State.WAITING, now
    row.figures = {"impressions": len(shown), "clicks": int(clicked.sum())}
    missing = find_missing(LEARNED, row.figures)
    if missing:
        row.reason = f"It {missing}."
        row.save()
        return row
    row.save()
    with threads.bounded(settings.BUILD_THREADS):
        verdict = clicks.try_out(shown)
        learned = clicks.learn(shown)
    row.figures |= {
        "first_ms": int(ts_ms[0]),
        "last_ms": int(ts_ms[-1]),
        "lists_judged": verdict.lists,
        "ndcg": round(verdict.new, 6),
        "ndcg_as_shown": round(verdict.shown, 6),
    }
    row.weights = weigh(clicks.weights(learned, n_features=len(FEATURES)))
    if not verdict.better:
        row.state = State.REFUSED
        row.reason = TOO_FEW if verdict.lists < clicks.LEAST_LISTS else NOT_BETTER
        row.save()
    else:
        write(row, learned)
        admit(row, now=now)
    drop_old(catalog)
    logger.info("ranker trained", extra={"ranker_id": row.pk, "state": row.state})
    return row


def weigh(shares: NDArray[np.float64]) -> dict[str, float]:
    """By name, the largest first."""
    pairs = sorted(zip(FEATURES, shares.tolist(), strict=True), key=lambda pair: -pair[1])
    return {name: round(share, 4) for name, share in pairs if share > 0}


def admit(row: Ranker, *, now: datetime) -> None:
    """Live, unless a person switched ranking off."""
    with registry.one_at_a_time(f"ranker {row.catalog}"):
        rows = Ranker.objects.filter(catalog=row.catalog)
        if rows.filter(state=State.OFF).exists():
            row.state, row.reason = State.OFF, HELD
            row.save()
        else:
            put_live(row, now=now)
    forget()


def put_live(row: Ranker, *, now: datetime) -> None:
    rows = Ranker.objects.filter(catalog=row.catalog, state=State.LIVE)
    rows.exclude(pk=row.pk).update(state=State.REPLACED)
    row.state, row.reason, row.published_at = State.LIVE, "", now
    row.save()


# --- by hand ---------------------------------------------------------------------------------


def switch_off(pk: int) -> Ranker:
    """Serve the plain order; what is trained from now on waits for a person.

    Raises
    ------
    NoSuchRanker
        If it is not live any more.
    """
    catalog = catalog_of(pk)
    with registry.one_at_a_time(f"ranker {catalog}"):
        row = Ranker.objects.get(pk=pk)
        if row.state != State.LIVE:
            raise NoSuchRanker(f"Ranker {pk} is not live any more.")
        row.state, row.reason = State.OFF, "Switched off by hand."
        row.save(update_fields=["state", "reason"])
    forget()
    return row


def use(pk: int, *, now: datetime) -> Ranker:
    """Serve by a ranker that was live before, or waits.

    Raises
    ------
    NoSuchRanker
        If it never passed its gate, or its files are not whole.
    """
    catalog = catalog_of(pk)
    with registry.one_at_a_time(f"ranker {catalog}"):
        row = Ranker.objects.get(pk=pk)
        if row.state not in USABLE:
            raise NoSuchRanker(f"Ranker {pk} cannot be used: it is {row.state}.")
        if not row.artifact or find(row) is None:
            raise NoSuchRanker(f"Ranker {pk} cannot be used: its files are gone or damaged.")
        rows = Ranker.objects.filter(catalog=catalog, state=State.OFF)
        rows.exclude(pk=pk).update(state=State.REPLACED)
        put_live(row, now=now)
    forget()
    return row


def catalog_of(pk: int) -> str:
    found = Ranker.objects.filter(pk=pk).values_list("catalog", flat=True).first()
    if found is None:
        raise NoSuchRanker(f"There is no ranker {pk}.")
    return found
