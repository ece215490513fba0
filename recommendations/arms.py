"""How often each arm of the exploration is played, from what was counted of it."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from recommendations.algorithms.exploration import arm_probabilities
from recommendations.models import ArmResult

# The sources that are tried; "list" is what stands in the list anyway, so no arm.
ARMS: Final = ("trend", "similar", "content", "arrivals", "cold")
LIST: Final = "list"
SEED: Final = 20_261_128  # all processes come to the same figures from the same rows
CHECK_SECONDS: Final = 60.0
Counts = Mapping[str, tuple[int, int]]  # arm → shown, clicked
remembered: dict[str, tuple[float, NDArray[np.float64]]] = {}


def probabilities(catalog: str) -> NDArray[np.float64]:
    """Of each of `ARMS`; looked up once a minute in each process."""
    found = remembered.get(catalog)
    if found is None or time.monotonic() - found[0] >= CHECK_SECONDS:
        found = remembered[catalog] = (time.monotonic(), from_counts(read_counts(catalog)))
    return found[1]


def from_counts(counts: Counts) -> NDArray[np.float64]:
    shown, clicked = np.array([counts.get(arm, (0, 0)) for arm in ARMS], np.int64).T
    return arm_probabilities(shown, clicked, rng=np.random.default_rng(SEED))


def read_counts(catalog: str) -> dict[str, tuple[int, int]]:
    rows = ArmResult.objects.filter(catalog=catalog).values_list("arm", "shown", "clicked")
    return {arm: (shown, clicked) for arm, shown, clicked in rows}


def write_counts(counts: Mapping[str, Counts], *, now: datetime) -> None:
    """Replace everything that was counted, for all catalogs. Safe to run twice."""
    rows = [
        ArmResult(catalog=catalog, arm=arm, shown=shown, clicked=clicked, counted_at=now)
        for catalog, arms in sorted(counts.items())
        for arm, (shown, clicked) in sorted(arms.items())
    ]
    fields: Sequence[str] = ("shown", "clicked", "counted_at")
    with transaction.atomic():
        kept = ArmResult.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["catalog", "arm"], update_fields=fields
        )
        known = {(row.catalog, row.arm) for row in kept}
        for row in ArmResult.objects.all():
            if (row.catalog, row.arm) not in known:
                row.delete()
    forget()


def forget() -> None:
    remembered.clear()
