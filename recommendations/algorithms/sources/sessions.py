"""Session-kNN: what stands beside the items of this session in sessions much like it."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log, newest
from recommendations.algorithms.sources import Scores

PAIRS = 1_000_000  # of a question and a session that are worked on at a time


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Sessions that have an item in common with a question, ordered by question.

    Attributes
    ----------
    question : ndarray of shape (n_pairs,), dtype int64
    session : ndarray of shape (n_pairs,), dtype int64
    likeness : ndarray of shape (n_pairs,), dtype float64
    meeting : ndarray of shape (n_pairs,), dtype int64, unit: steps from the session's first
        Where the session has the newest item that both have: the question is "there" in it.
    """

    question: NDArray[np.int64]
    session: NDArray[np.int64]
    likeness: NDArray[np.float64]
    meeting: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Neighbours":
        return Neighbours(
            self.question[chosen],
            self.session[chosen],
            self.likeness[chosen],
            self.meeting[chosen],
        )


@dataclass(kw_only=True, eq=False)
class LikeSessions:
    """Every profile of the log is a session; the newest ones count most.

    With ``h_ui = fading**r`` for the item met `r` items before the newest, and ``n_i`` of the `S`
    sessions having item i, a session s with ``l_s`` steps is as like question u as

        ``L_us = (sum over common i of h_ui log(1 + S / n_i)**rarity)**agreement``
                ``* l_s**-length * oldest**age_s``

    where ``age_s`` runs from 0 (newest) to 1 (oldest). Its steps are worth, `d` steps from where
    it has the newest common item, ``ahead**(d - 1)`` after it, ``behind * behind_fading**(-d-1)``
    before it and `itself` at it. An item scores the sum of likeness times worth over the likest
    sessions, divided by ``n_j**target``.

    Parameters
    ----------
    fading : float, above 0 and below 1
    rarity, agreement, length, oldest, ahead, behind, behind_fading, itself, target : float
        See above.
    again : tuple of at most 16 floats
        Factors of the items of the history themselves: of the newest, the one before it, and so
        on; those before stay as they are.
    neighbours : int, unit: sessions per question
        Only so many of the likest, ties to the newer.
    steps : int, unit: items
        So many of the newest items of a history speak.
    reach : int, unit: sessions per item
        Only so many of the newest with an item are looked at.
    cap : int, unit: steps per session
        The newest are learned from.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_sessions + 1,), dtype int64
    item_ : ndarray of shape (n_steps,), dtype int32
        The steps of each session, the sessions oldest first.
    item_bounds_ : ndarray of shape (n_items + 1,), dtype int64
    session_, step_ : ndarray of shape (n_pairs,), dtype int32
        Which sessions have each item, newest first, and where they have it last.
    weight_ : ndarray of shape (n_sessions,), dtype float64
        ``l_s**-length * oldest**age_s``.
    rarity_, target_ : ndarray of shape (n_items,), dtype float64

    Sources: Jannach & Ludewig (2017), "When Recurrent Neural Networks meet the Neighborhood"; Garg
    et al. (2019), "Sequence and Time Aware Neighborhood" (STAN); Ludewig et al. (2020), "Empirical
    Analysis of Session-Based Recommendation Algorithms" (VSKNN).
    """

    fading: float = 0.7
    rarity: float = 2.0
    agreement: float = 1.5
    length: float = 0.25
    oldest: float = 0.37
    ahead: float = 0.8
    behind: float = 0.7
    behind_fading: float = 0.9
    itself: float = 0.7
    target: float = 0.25
    again: tuple[float, ...] = (1.0, 1.15)
    neighbours: int = 500
    steps: int = 30
    reach: int = 5_000
    cap: int = 50
    bounds_: NDArray[np.int64] = field(init=False, repr=False)
    item_: NDArray[np.int32] = field(init=False, repr=False)
    item_bounds_: NDArray[np.int64] = field(init=False, repr=False)
    session_: NDArray[np.int32] = field(init=False, repr=False)
    step_: NDArray[np.int32] = field(init=False, repr=False)
    weight_: NDArray[np.float64] = field(init=False, repr=False)
    rarity_: NDArray[np.float64] = field(init=False, repr=False)
    target_: NDArray[np.float64] = field(init=False, repr=False)

    def fit(self, log: Log) -> Self:
        self.bounds_, self.item_ = in_order_of_time(newest(log, cap=self.cap))
        lengths = np.diff(self.bounds_)
        n_sessions = lengths.size
        session = np.repeat(np.arange(n_sessions), lengths)
        step = np.arange(session.size) - self.bounds_[session]
        order = np.lexsort((-step, -session, self.item_))
        item, session, step = self.item_[order], session[order], step[order]
        last = np.ones(item.size, bool)
        last[1:] = (item[1:] != item[:-1]) | (session[1:] != session[:-1])
        item, session, step = item[last], session[last], step[last]
        self.item_bounds_ = np.searchsorted(item, np.arange(log.n_items + 1)).astype(np.int64)
        self.session_, self.step_ = session.astype(np.int32), step.astype(np.int32)
        sessions_with = np.maximum(np.diff(self.item_bounds_), 1).astype(np.float64)
        self.rarity_ = np.log(1 + n_sessions / sessions_with) ** self.rarity
        self.target_ = sessions_with**-self.target
        age = np.arange(n_sessions)[::-1] / max(n_sessions - 1, 1)
        self.weight_ = lengths.astype(np.float64) ** -self.length * self.oldest**age
        return self

    def score(self, asked: Histories) -> Scores:
        history = recency(asked, fading=self.fading, cap=self.steps)
        scores = np.zeros((len(asked), asked.n_items), np.float32)
        for first, last in self._parts(history):
            scores[first:last] = self._sums(self._likest(history[first:last]), last - first)
        newest_items = recency(asked, fading=0.5, cap=len(self.again)).tocoo()
        place = -np.log2(newest_items.data).astype(np.int64)
        scores[newest_items.row, newest_items.col] *= np.array(self.again, np.float32)[place]
        return scores

    def _parts(self, history: csr_matrix) -> list[tuple[int, int]]:
        """Ranges of questions with about `PAIRS` pairs each: memory does not grow with a block."""
        work = np.minimum(np.diff(self.item_bounds_), self.reach)[history.indices]
        done = np.append(0, np.cumsum(work))[history.indptr]
        n_asked = history.shape[0]
        cuts = np.searchsorted(done, np.arange(PAIRS, done[-1], PAIRS))
        edges = np.unique(np.concatenate([[0], cuts, [n_asked]]))
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    def _likest(self, history: csr_matrix) -> Neighbours:
        """The sessions that each question is compared with."""
        found = self._in_common(history)
        likeness = found.likeness**self.agreement * self.weight_[found.session]
        found = Neighbours(found.question, found.session, likeness, found.meeting)
        found = found.take(likeness > 0)
        if np.bincount(found.question, minlength=1).max() <= self.neighbours:
            return found
        order = np.lexsort((-found.session, -found.likeness, found.question))
        question = found.question[order]
        place = np.arange(question.size) - np.searchsorted(question, question)
        return found.take(np.sort(order[place < self.neighbours]))

    def _in_common(self, history: csr_matrix) -> Neighbours:
        """Each pair of question and session once; `likeness` is the sum over the common items."""
        n_sessions = self.weight_.size
        question = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))
        order = np.lexsort((-history.data, question))  # newest item first
        item = history.indices[order]
        weight = history.data[order] * self.rarity_[item]
        starts = self.item_bounds_[item]
        counts = np.minimum(self.item_bounds_[item + 1] - starts, self.reach)
        at = ranges(starts, counts)
        key = np.repeat(question[order] * n_sessions, counts) + self.session_[at]
        by_key = np.argsort(key, kind="stable")  # stable: the newest item stays in front
        key = key[by_key]
        fronts = np.flatnonzero(np.diff(key, prepend=-1))
        weight = np.repeat(weight, counts)[by_key]
        both = key[fronts].astype(np.int64)
        return Neighbours(
            both // max(n_sessions, 1),
            both % max(n_sessions, 1),
            np.add.reduceat(weight, fronts) if fronts.size else np.zeros(0),
            self.step_[at[by_key[fronts]]].astype(np.int64),
        )

    def _sums(self, found: Neighbours, n_asked: int) -> Scores:
        """What the steps of the neighbours add up to; shape (n_asked, n_items)."""
        starts = self.bounds_[found.session]
        counts = self.bounds_[found.session + 1] - starts
        at = ranges(starts, counts)
        steps = at - np.repeat(starts + found.meeting, counts)
        item = self.item_[at]
        worth = self.worth()[steps + self.cap] * self.target_[item]
        values = (np.repeat(found.likeness, counts) * worth).astype(np.float32)
        rows = np.append(0, np.cumsum(np.bincount(found.question, counts, minlength=n_asked)))
        shape = (n_asked, self.item_bounds_.size - 1)
        sums: Scores = csr_matrix((values, item, rows.astype(np.int64)), shape=shape).toarray()
        return sums

    def worth(self) -> NDArray[np.float64]:
        """Of a step so far from the meeting, from `-cap` to `cap`."""
        distance = np.arange(1, self.cap + 1)
        before = self.behind * np.power(self.behind_fading, distance - 1.0)
        after = np.power(self.ahead, distance - 1.0)
        return np.concatenate([before[::-1], [self.itself], after])


def in_order_of_time(log: Log) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The profiles that did something, the one whose last event is newest at the end.

    Returns
    -------
    bounds : ndarray of shape (n_sessions + 1,), dtype int64
    item : ndarray of shape (n_events,), dtype int32
    """
    bounds = log.bounds()
    present = np.flatnonzero(np.diff(bounds))
    last_ms = log.ts_ms[bounds[present + 1] - 1]
    order = present[np.lexsort((present, last_ms))]
    counts = np.diff(bounds)[order]
    return np.append(0, np.cumsum(counts)), log.item[ranges(bounds[order], counts)]


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """``starts[k], starts[k] + 1, …``, `counts[k]` numbers of each."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if ends.size else 0
    return np.repeat(starts - ends + counts, counts) + np.arange(total)
