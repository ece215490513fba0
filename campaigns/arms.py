"""What slots tried and what came of it; what another mixture of arms would have earned."""

from array import array
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from campaigns.models import Slot, Variant
from delivery import chances
from engage.lib.errors import InvalidInput
from recommendations import arms
from recommendations.algorithms.off_policy import Estimate, estimate
from recommendations.arms import ARMS, LIST

COUNTED_DAYS: Final = 28
MOST_DAYS: Final = 365
MOST: Final = 2_000_000  # products that are looked at, the newest: 72 bytes each
SOURCES: Final = (LIST, *ARMS)
Weights = Mapping[str, float]  # arm → share, summing to 1


def count(*, now: datetime) -> None:
    """Count anew what each arm showed and what was clicked of it. Safe to run twice."""
    exploring = Variant.objects.filter(template__slots__explore__gt=0)
    catalogs = read_catalogs()
    found: dict[str, dict[str, tuple[int, int]]] = {}
    campaign_ids = set(exploring.values_list("campaign_id", flat=True))
    if campaign_ids:
        for one in chances.count(campaign_ids, since=now - timedelta(days=COUNTED_DAYS)):
            catalog = catalogs.get(one.place)
            if catalog is not None and one.arm in ARMS:
                own = found.setdefault(catalog, {})
                shown, clicked = own.get(one.arm, (0, 0))
                own[one.arm] = (shown + one.shown, clicked + one.clicked)
    arms.write_counts(found, now=now)


def read_catalogs() -> dict[chances.Place, str]:
    """The catalog of each slot, by variant and the slot's name."""
    rows = Slot.objects.filter(template__variants__isnull=False)
    return {
        (variant, name): catalog
        for variant, name, catalog in rows.values_list("template__variants", "name", "catalog")
    }


class Line(NamedTuple):
    """What a policy would earn."""

    name: str
    estimate: Estimate


def compare(
    catalog: str,
    *,
    days: int = COUNTED_DAYS,
    mixtures: Mapping[str, Weights] | None = None,
    clip: float = inf,
    now: datetime,
) -> list[Line]:
    """Clicks per open place: as it ran, each arm alone, mixtures of them; nothing without logs.

    Raises
    ------
    InvalidInput
        For a number of days, an arm or weights that make no sense.
    """
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"days is {days}, expected 1 to {MOST_DAYS}.")
    if not clip > 0:
        raise InvalidInput(f"clip is {clip}, expected more than 0.")
    asked = {name: check(name, weights) for name, weights in (mixtures or {}).items()}
    clicked, logged, whose, by_source = read_log(catalog, since=now - timedelta(days=days))
    if not clicked.size:
        return []
    played = dict(zip(ARMS, arms.probabilities(catalog).tolist(), strict=True))
    policies = {
        **{name: {name: 1.0} for name in SOURCES},
        "all arms alike": dict.fromkeys(ARMS, 1 / len(ARMS)),
        "arms as played now": played,
        **asked,
    }
    lines = [Line("as it ran", estimate(clicked, logged, logged, whose, clip=clip))]
    for name, weights in policies.items():
        target = by_source @ np.array([weights.get(source, 0.0) for source in SOURCES])
        # Sums of fractions may end a hair above 1.
        target = np.minimum(target, 1)
        lines.append(Line(name, estimate(clicked, logged, target, whose, clip=clip)))
    return lines


def check(name: str, weights: Weights) -> Weights:
    unknown = sorted(set(weights) - set(SOURCES))
    if unknown:
        known = ", ".join(SOURCES)
        raise InvalidInput(f"{name}: there is no arm {unknown[0][:80]!r}; expected {known}.")
    if any(not 0 <= weight <= 1 for weight in weights.values()) or not np.isclose(
        sum(weights.values()), 1
    ):
        raise InvalidInput(f"{name}: weights must be 0 to 1 and sum to 1.")
    return weights


def read_log(
    catalog: str, *, since: datetime
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Of each open place: clicked, how likely it was, whose, how likely by each of `SOURCES`."""
    catalogs = read_catalogs()
    variants = {variant for (variant, _), own in catalogs.items() if own == catalog}
    campaign_ids = set(
        Variant.objects.filter(pk__in=variants).values_list("campaign_id", flat=True)
    )
    cells = array("d")
    for one in chances.read(campaign_ids, since=since, most=MOST):
        if catalogs.get(one.place) == catalog:
            by_source = (one.arms.get(name, 0.0) for name in SOURCES)
            cells.extend((one.clicked, one.p, one.profile_id, *by_source))
    table = np.frombuffer(cells, np.float64).reshape(-1, 3 + len(SOURCES))
    return table[:, 0], table[:, 1], table[:, 2].astype(np.int64), table[:, 3:]
