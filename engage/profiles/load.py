"""Loading past events from a file: exactly once, in batches, without messages to anybody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from engage.profiles import history
from engage.profiles.errors import PoisonEvent
from engage.profiles.event_files import Loaded, Progress, Refused, read_events
from engage.profiles.store import store_events

AT_ONCE: Final = 5_000
HISTORY_EVERY: Final = 100_000  # rows
REASONS_KEPT: Final = 10


@dataclass(slots=True)
class Report:
    rows: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    reasons: list[Refused] = field(default_factory=list)  # the first ones

    def refuse(self, refusal: Refused) -> None:
        self.refused += 1
        if len(self.reasons) < REASONS_KEPT:
            self.reasons.append(refusal)


def load_events(
    path: Path,
    *,
    renamed: Mapping[str, str],
    source: str,
    now: datetime,
    progress: Progress = lambda share: None,
) -> Report:
    """Store the events of a file. Safe to run twice, and again after a crash.

    Raises
    ------
    InvalidInput
        The file cannot be read or has not the columns; the batches before the damage are stored.
    """
    report = Report()
    history.append_final_blocks()  # so that what follows is appended, not rebuilt
    batch: list[Loaded] = []
    rows = read_events(path, renamed=renamed, source=source, now=now, progress=progress)
    for row in rows:
        report.rows += 1
        if isinstance(row, Refused):
            report.refuse(row)
            continue
        batch.append(row)
        if len(batch) == AT_ONCE:
            store(batch, report, now=now)
            batch = []
            if report.rows % HISTORY_EVERY < AT_ONCE:
                history.append_final_blocks()
    store(batch, report, now=now)
    history.append_final_blocks()
    return report


def store(batch: list[Loaded], report: Report, *, now: datetime) -> None:
    """Store a batch; one that holds a poisonous row by halves, until that row stands alone."""
    try:
        done = store_events([row.event for row in batch], now=now, notify=False)
    except PoisonEvent as exc:
        if len(batch) == 1:
            report.refuse(Refused(batch[0].line, exc.message))
            return
        middle = len(batch) // 2
        store(batch[:middle], report, now=now)
        store(batch[middle:], report, now=now)
    else:
        report.stored += done.stored
        report.duplicates += done.duplicates
