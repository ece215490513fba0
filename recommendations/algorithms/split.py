"""What is learned from and what is held back.

Two traps make a model look several times better than it is: events later than the target in the
history, and targets that the profile had touched before. Both splits leave them out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.log import Log, distinct

DAY_MS = 86_400_000
WEEK_DAYS = 7


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Who is asked about what.

    Attributes
    ----------
    train : Log
        Everything a model may learn from, and the history of the profiles that are asked about.
    profiles : ndarray of shape (n_asked,), dtype int32
    targets : list of n_asked ndarrays, dtype int32
        What each of them touched for the first time in the held-back part; none is empty.
    protocol : str
    cut_ms : int, unit: milliseconds
        For a split in time, where; else 0.
    """

    train: Log
    profiles: NDArray[np.int32]
    targets: list[NDArray[np.int32]]
    protocol: str
    cut_ms: int = 0


def hold_out(log: Log, *, least: int = 50) -> Split:
    """The newest week; the last item of each profile where the log is too short or too thin.

    Parameters
    ----------
    log : Log
    least : int, unit: profiles
        Fewer profiles to ask about than this make a week too thin.
    """
    span_ms = int(np.ptp(log.ts_ms)) if len(log) else 0
    if span_ms >= 4 * WEEK_DAYS * DAY_MS:
        week = newest_days(log, days=WEEK_DAYS)
        if week.profiles.size >= least:
            return week
    return last_items(log)


def newest_days(log: Log, *, days: int) -> Split:
    """By a strict clock: everything from `days` before the newest event on is held back."""
    cut_ms = int(log.ts_ms.max(initial=0)) - days * DAY_MS + 1
    late = log.ts_ms >= cut_ms
    return ask(log.take(~late), log.take(late), protocol=f"newest {days} days", cut_ms=cut_ms)


def last_items(log: Log) -> Split:
    """The last step of each profile with two or more is held back; repeats of it count as one."""
    first_of_step = np.ones(len(log), bool)
    first_of_step[1:] = (log.item[1:] != log.item[:-1]) | (log.profile[1:] != log.profile[:-1])
    step = np.cumsum(first_of_step)
    bounds = log.bounds()
    active = np.flatnonzero(np.diff(bounds))
    first, last = (np.zeros(log.n_profiles, np.int64) for _ in range(2))
    first[active], last[active] = step[bounds[active]], step[bounds[active + 1] - 1]
    in_last = (step == last[log.profile]) & (first[log.profile] < last[log.profile])
    return ask(log.take(~in_last), log.take(in_last), protocol="last item of each profile")


def ask(train: Log, held: Log, *, protocol: str, cut_ms: int = 0) -> Split:
    """Known profiles are asked about the items that are new to them."""
    width = max(train.n_items, 1)
    known = distinct(train.profile.astype(np.int64) * width + train.item)
    wanted = distinct(held.profile.astype(np.int64) * width + held.item)
    wanted = wanted[~np.isin(wanted, known, assume_unique=True)]
    profile = wanted // width
    has_history = np.diff(train.bounds())[profile] > 0
    wanted, profile = wanted[has_history], profile[has_history]
    profiles, starts = np.unique(profile, return_index=True)
    items = (wanted % width).astype(np.int32)
    targets = np.split(items, starts[1:]) if profiles.size else []
    return Split(train, profiles.astype(np.int32), targets, protocol, cut_ms)
