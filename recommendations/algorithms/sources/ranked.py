"""A second stage: trees that put what other sources found into a better order."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from recommendations.algorithms.blending import on_own_scale
from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.lists import best_items
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources import Scores, Source
from recommendations.algorithms.sources.sessions import ranges

PART = 256  # questions at a time
LATELY = 0.1  # of all events: what is older counts little as a trend
SEED = 20_261_128


class Ranked:
    """Learned from the newest profiles: which of the candidates did they really meet next?

    The first stage is fitted on the other profiles, asked after each step of the newest, and its
    answers are described by what `describe` lists. Trees learn to tell the item that came from the
    others; questions whose item is no candidate teach nothing. Then the first stage is fitted
    again, on all profiles.

    Parameters
    ----------
    make : function that makes the sources of the first stage by name, unfitted
    weights : mapping of source name to float
        The candidates are the best by this sum, each source on its own scale.
    candidates : int, unit: items per question
    held_back : float
        Share of the profiles that is learned from; their last events are the newest.
    questions : int
        At most so many, drawn at random with a fixed seed.
    trees, leaves, rate : int, int, float
        Of the boosting.

    Attributes
    ----------
    sources_ : dict of source name to fitted Source
    occurrences_ : ndarray of shape (n_items,), dtype float64
    trend_ : ndarray of shape (n_items,), dtype float64
        Logarithm of the share of late over the share of ever.
    trees_ : HistGradientBoostingClassifier, or None where there was nothing to learn from
        Without trees the sum of the first stage stands.

    Source: Friedman (2001), "Greedy Function Approximation: A Gradient Boosting Machine".
    """

    sources_: dict[str, Source]
    occurrences_: NDArray[np.float64]
    trend_: NDArray[np.float64]
    trees_: HistGradientBoostingClassifier | None

    def __init__(
        self,
        make: Callable[[], Mapping[str, Source]],
        weights: Mapping[str, float],
        *,
        candidates: int = 50,
        held_back: float = 0.05,
        questions: int = 12_000,
        trees: int = 80,
        leaves: int = 15,
        rate: float = 0.1,
    ) -> None:
        self.make = make
        self.weights = weights
        self.candidates = candidates
        self.held_back = held_back
        self.questions = questions
        self.trees = trees
        self.leaves = leaves
        self.rate = rate

    def fit(self, log: Log) -> Self:
        earlier, asked, wanted = after_each_step(
            log, share=self.held_back, most=self.questions, rng=np.random.default_rng(SEED)
        )
        self.trees_ = None
        self._fit_first(earlier)
        items, features = self.describe(asked)
        is_next = items == wanted[:, None]
        taught = (items >= 0) & is_next.any(axis=1)[:, None]
        if taught.any():
            self.trees_ = HistGradientBoostingClassifier(
                learning_rate=self.rate,
                max_iter=self.trees,
                max_leaf_nodes=self.leaves,
                min_samples_leaf=200,
                l2_regularization=1.0,
                early_stopping=False,
                random_state=SEED,
            ).fit(features[taught], is_next[taught])
        self._fit_first(log)
        return self

    def score(self, asked: Histories) -> Scores:
        """The chance of each candidate, by the trees; 0 for all other items."""
        scores = np.zeros((len(asked), asked.n_items), np.float32)
        items, features = self.describe(asked)
        question, place = np.nonzero(items >= 0)
        if not question.size:
            return scores
        if self.trees_ is None or self.trees_.classes_.size < 2:
            chance = 1.0 / (1.0 + place)
        else:
            chance = self.trees_.predict_proba(features[question, place])[:, 1]
        scores[question, items[question, place]] = chance
        return scores

    def describe(self, asked: Histories) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The candidates and what is known of each.

        Returns
        -------
        items : ndarray of shape (n_asked, candidates), dtype int32
            Best first by the weighted sum, padded with -1.
        features : ndarray of shape (n_asked, candidates, 11 + 2 * n_sources), dtype float32
            The weighted sum and the place by it. Per source: the score on its own scale, and as a
            share of the question's total. Of the item: how many items before the newest of the
            history it is (-1: not in it), how often the history has it, logarithm of the
            occurrences, trend. Of the question: steps, whether the last step was a repeat,
            logarithm of the first source's best, logarithm of the last item's occurrences, and
            whether there is a history.
        """
        width = 11 + 2 * len(self.sources_)
        items = np.full((len(asked), self.candidates), -1, np.int32)
        features = np.zeros((len(asked), self.candidates, width), np.float32)
        for first, part in asked.blocks(PART):
            last = first + len(part)
            items[first:last], features[first:last] = self._describe(part)
        return items, features

    def _describe(self, asked: Histories) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        scores, best, share = {}, {}, {}
        total = np.zeros((len(asked), asked.n_items), np.float32)
        for name, source in self.sources_.items():
            found = source.score(asked)
            best[name] = found.max(axis=1, initial=0)
            on_own_scale(found, None)
            share[name] = 1 / np.maximum(found.sum(axis=1), 1e-9)
            total += np.float32(self.weights.get(name, 0)) * found
            scores[name] = found
        items = best_items(total, n=self.candidates)
        at = np.maximum(items, 0)
        rows = np.arange(len(asked))[:, None]
        columns: list[NDArray[Any]] = [total[rows, at], np.arange(self.candidates)[None]]
        for name, found in scores.items():
            own = found[rows, at]
            columns += [own, own * share[name][:, None]]
        columns += self._of_items(asked, rows, at)
        columns += self._of_questions(asked, best[next(iter(self.sources_))])
        return items, np.stack([np.broadcast_to(c, items.shape) for c in columns], axis=2)

    def _of_items(
        self, asked: Histories, rows: NDArray[np.int64], at: NDArray[np.int32]
    ) -> list[NDArray[np.float64]]:
        fading = np.asarray(recency(asked, fading=0.5).toarray()[rows, at])  # 2**-place
        place = np.where(fading > 0, -np.log2(np.maximum(fading, 1e-9)), -1)
        key = asked.question * asked.n_items + asked.item
        known, times = np.unique(key, return_counts=True)
        wanted = rows * asked.n_items + at
        where = np.minimum(np.searchsorted(known, wanted), max(known.size - 1, 0))
        count = np.zeros(wanted.shape)
        if known.size:
            count[:] = np.where(known[where] == wanted, times[where], 0)
        return [place, count, np.log1p(self.occurrences_)[at], self.trend_[at]]

    def _of_questions(
        self, asked: Histories, best: NDArray[np.float32]
    ) -> list[NDArray[np.float64]]:
        steps = asked.lengths
        ends = asked.bounds[1:]
        item = np.append(asked.item, [0, 0])  # where there is no last step, any item will do
        last, before = item[ends - 1], item[ends - 2]
        columns = [
            steps,
            (steps > 1) & (last == before),
            np.log(np.maximum(best, 1e-9)),
            np.where(steps > 0, np.log1p(self.occurrences_)[last], 0),
            steps > 0,
        ]
        return [np.asarray(column, np.float64)[:, None] for column in columns]

    def _fit_first(self, log: Log) -> None:
        self.sources_ = {name: source.fit(log) for name, source in self.make().items()}
        newer = np.empty(len(log))
        newer[np.argsort(log.ts_ms, kind="stable")] = np.arange(len(log))[::-1]
        late = np.exp(-newer / max(len(log), 1) / LATELY)
        self.occurrences_ = np.bincount(log.item, minlength=log.n_items).astype(np.float64)
        lately = np.bincount(log.item, late, log.n_items)
        usual = self.occurrences_ * (late.mean() if late.size else 1.0)
        self.trend_ = np.log((lately + 0.5) / (usual + 0.5))


def after_each_step(
    log: Log, *, share: float, most: int, rng: np.random.Generator
) -> tuple[Log, Histories, NDArray[np.int32]]:
    """The log without its newest profiles; what those had done before each of their steps.

    Returns
    -------
    earlier : Log
    asked : Histories
        At most `most` questions.
    wanted : ndarray of shape (n_asked,), dtype int32
        The step itself.
    """
    bounds = log.bounds()
    present = np.flatnonzero(np.diff(bounds))
    order = present[np.lexsort((present, log.ts_ms[bounds[present + 1] - 1]))]
    is_newest = np.zeros(log.n_profiles, bool)
    is_newest[order[order.size - int(share * order.size) :]] = True
    begin = bounds[log.profile]
    step = np.arange(len(log)) - begin
    events = np.flatnonzero(is_newest[log.profile] & (step > 0))
    if events.size > most:
        events = np.sort(rng.choice(events, most, replace=False))
    at = ranges(begin[events], step[events])
    asked = Histories(
        np.append(0, np.cumsum(step[events])),
        log.item[at],
        log.weight[at],
        log.ts_ms[at],
        log.ts_ms[events],
        log.n_items,
    )
    return log.take(~is_newest[log.profile]), asked, log.item[events]
