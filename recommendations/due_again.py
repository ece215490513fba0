"""What a person buys again and again, and whether it is time: their own rhythm, nobody else's."""

from collections.abc import Iterable
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
EARLIEST: Final = 0.75  # of the usual gap: soon enough to be of use
LATEST: Final = 3.0  # of the usual gap: after that they do without it


class Due(NamedTuple):
    """A product that was bought on two days at least, and is due."""

    item: str
    score: float  # 1 when the usual gap has just passed, less before and after
    gap_days: float  # between two purchases, the median
    last_ms: int
    due_ms: int


def list_due(
    bought: Iterable[tuple[str, int]], sent_back: Iterable[tuple[str, int]], *, now_ms: int
) -> list[Due]:
    """The products that are due, the one due most exactly first; of equals the smaller id.

    `bought` and `sent_back` are pairs of item and time in ms. Purchases of one day (UTC) count
    once. What was sent back after it was bought last is left out.
    """
    times: dict[str, set[int]] = {}
    for item, ts_ms in bought:
        times.setdefault(item, set()).add(ts_ms)
    returned: dict[str, int] = {}
    for item, ts_ms in sent_back:
        returned[item] = max(ts_ms, returned.get(item, ts_ms))
    found = []
    for item, moments in times.items():
        last_ms = max(moments)
        days = sorted({ts_ms // DAY_MS for ts_ms in moments})
        if len(days) < 2 or returned.get(item, -1) >= last_ms:
            continue
        gap = median(after - before for before, after in pairwise(days))
        passed = max(now_ms - last_ms, 1) / (gap * DAY_MS)
        if EARLIEST <= passed <= LATEST:
            due_ms = last_ms + round(gap * DAY_MS)
            found.append(Due(item, min(passed, 1 / passed), float(gap), last_ms, due_ms))
    return sorted(found, key=lambda due: (-due.score, due.item))
