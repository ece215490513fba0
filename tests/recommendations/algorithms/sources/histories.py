"""Small histories, written as rows."""

import numpy as np

from recommendations.algorithms.histories import DAY_MS, Histories, histories_of
from recommendations.algorithms.log import Log, make_log


def log_of(rows, *, n_items=4, n_profiles=None) -> Log:
    """Rows of (profile, item, day)."""
    profile, item, day = np.array(rows, np.int64).reshape(-1, 3).T
    return make_log(profile, item, ts_ms=day * DAY_MS, n_items=n_items, n_profiles=n_profiles)


def asked_at(day, rows, *, n_items=4) -> Histories:
    """All profiles of the rows, asked on that day."""
    log = log_of(rows, n_items=n_items)
    return histories_of(log, np.arange(log.n_profiles), now_ms=day * DAY_MS)
