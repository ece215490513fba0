"""Several sources, one list: each on its own scale, added with weights that a trial chose.

The weights are found by coordinate search on candidates: what any source puts among its best for
a question. The rest would not reach a list. A `Boost` is not added but multiplied: its weight is
the power that its factors are raised to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import Histories
from recommendations.algorithms.lists import best_items
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources import Boost, Scores, Source
from recommendations.algorithms.trial import Trial

BLOCK_BYTES = 200_000_000  # of dense scores at a time
CANDIDATES = 60  # of each source
SWEEPS = 6
FACTORS = (0.0, 0.5, 0.7, 1.4, 2.0)
LEAST_GAIN = 1e-5  # of the objective, for a weight to move
MOST_POWER = 1.0  # of a boost


class Blend:
    """A weighted sum of sources.

    Parameters
    ----------
    sources : mapping of name to `Source`
    weights : mapping of name to float, at least 0
        A source without a weight, or with 0, is neither fitted nor asked.

    Attributes
    ----------
    None of its own; `fit` fits the sources.
    """

    def __init__(self, sources: Mapping[str, Source], weights: Mapping[str, float]) -> None:
        self.sources = {name: one for name, one in sources.items() if weights.get(name, 0) > 0}
        self.weights = {name: float(weights[name]) for name in self.sources}

    def fit(self, log: Log) -> Self:
        for source in self.sources.values():
            source.fit(log)
        return self

    def score(self, asked: Histories, hidden: csr_matrix | None) -> Scores:
        """The boosted sum, of shape (n_asked, n_items); 0 for what is hidden."""
        total = np.zeros((len(asked), asked.n_items), np.float32)
        for name, source in self.sources.items():
            if not isinstance(source, Boost):
                total += np.float32(self.weights[name]) * on_own_scale(source.score(asked), hidden)
        for name, source in self.sources.items():
            if isinstance(source, Boost):
                total *= source.score(asked) ** np.float32(self.weights[name])
        return total

    def lists(self, asked: Histories, hidden: csr_matrix | None, *, n: int) -> NDArray[np.int32]:
        """The best `n` items of each question, as `best_items` gives them; block by block."""
        found = np.zeros((len(asked), n), np.int32)
        for first, part in asked.blocks(block_size(asked.n_items)):
            last = first + len(part)
            scores = self.score(part, None if hidden is None else hidden[first:last])
            found[first:last] = best_items(scores, n=n)
        return found


def block_size(n_items: int) -> int:
    """How many questions are asked at a time."""
    return max(1, min(4_096, BLOCK_BYTES // (4 * max(n_items, 1))))


def on_own_scale(scores: Scores, hidden: csr_matrix | None) -> Scores:
    """Hidden items at 0, and the best of each question at 1. Changes `scores`."""
    without_hidden(scores, hidden)
    best = scores.max(axis=1, keepdims=True, initial=0)
    np.divide(scores, best, out=scores, where=best > 0)
    return scores


def without_hidden(scores: Scores, hidden: csr_matrix | None) -> Scores:
    """Hidden items at 0. Changes `scores`."""
    if hidden is not None:
        scores[hidden.nonzero()] = 0
    return scores


# --- finding the weights ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What the sources say of the candidates of each question.

    Attributes
    ----------
    items : ndarray of shape (n_asked, width), dtype int32, ascending, padded with -1
    values : mapping of source name to ndarray of shape (n_asked, width), dtype float32
    factors : the same of the boosts
    is_target : ndarray of shape (n_asked, width), dtype bool
    ideal : ndarray of shape (n_asked,), dtype float64
        The gain of the best possible list.
    k : int
    """

    items: NDArray[np.int32]
    values: Mapping[str, NDArray[np.float32]]
    factors: Mapping[str, NDArray[np.float32]]
    is_target: NDArray[np.bool_]
    ideal: NDArray[np.float64]
    k: int

    def ndcg(self, weights: Mapping[str, float]) -> float:
        total = np.zeros(self.items.shape, np.float32)
        for name, values in self.values.items():
            if weights.get(name):
                total += np.float32(weights[name]) * values
        for name, values in self.factors.items():
            if weights.get(name):
                total *= values ** np.float32(weights[name])
        total[self.items < 0] = -1
        k = min(self.k, self.items.shape[1])
        place = np.argpartition(-total, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(total, place, 1), axis=1, kind="stable")
        best = np.take_along_axis(place, order, 1)
        hit = np.take_along_axis(self.is_target & (total > 0), best, 1)  # as `best_items` takes
        gains = 1 / np.log2(np.arange(k) + 2)
        return float(((hit * gains).sum(axis=1) / self.ideal).mean())


def gather(
    sources: Mapping[str, Source], trial: Trial, *, k: int, on_one_scale: bool = False
) -> Candidates:
    """Ask fitted sources once, and keep what they say of each other's candidates.

    `on_one_scale` takes their scores as they are instead of bringing each question's best to 1.
    """
    parts = [
        gather_block(
            sources,
            part,
            None if trial.hidden is None else trial.hidden[first : first + len(part)],
            scaled=without_hidden if on_one_scale else on_own_scale,
        )
        for first, part in trial.asked.blocks(block_size(2 * len(sources) * trial.asked.n_items))
    ]
    width = max(items.shape[1] for items, _ in parts)
    items = np.concatenate([widened(items, width, fill=-1) for items, _ in parts])
    values = {
        name: np.concatenate([widened(found[name], width, fill=0) for _, found in parts])
        for name in sources
    }
    rows = np.arange(len(items))[:, None]
    is_target = np.zeros(items.shape, bool)
    flat = trial.targets[np.broadcast_to(rows, items.shape).ravel(), np.maximum(items, 0).ravel()]
    is_target[:] = np.asarray(flat).reshape(items.shape) & (items >= 0)
    count = np.minimum(np.diff(trial.targets.indptr), k)
    ideal = np.append(0, np.cumsum(1 / np.log2(np.arange(k) + 2)))[count]
    factors = {name: values.pop(name) for name, one in sources.items() if isinstance(one, Boost)}
    return Candidates(items, values, factors, is_target, ideal, k)


def gather_block(
    sources: Mapping[str, Source],
    asked: Histories,
    hidden: csr_matrix | None,
    *,
    scaled: Callable[[Scores, csr_matrix | None], Scores],
) -> tuple[NDArray[np.int32], dict[str, NDArray[np.float32]]]:
    boosts = {name: one.score(asked) for name, one in sources.items() if isinstance(one, Boost)}
    scores = {
        name: scaled(one.score(asked), hidden)
        for name, one in sources.items()
        if name not in boosts
    }
    lists = np.hstack([best_items(found, n=CANDIDATES) for found in scores.values()])
    for factor in boosts.values():
        lists = np.hstack(
            [lists, *(best_items(found * factor, n=CANDIDATES) for found in scores.values())]
        )
    scores |= boosts
    items = np.sort(lists, axis=1)
    items[:, 1:][items[:, 1:] == items[:, :-1]] = -1
    items = np.sort(items, axis=1)[:, ::-1]  # the padding at the end
    items = items[:, : max(int((items >= 0).sum(axis=1).max(initial=1)), 1)]
    rows = np.arange(len(asked))[:, None]
    values = {
        name: np.where(items >= 0, found[rows, np.maximum(items, 0)], 0).astype(np.float32)
        for name, found in scores.items()
    }
    return items, values


def widened(array: NDArray[np.generic], width: int, *, fill: int) -> NDArray[np.generic]:
    return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)


def find_weights(
    candidates: Candidates, start: Mapping[str, float], *, trials: Sequence[float] = FACTORS
) -> tuple[dict[str, float], float]:
    """Coordinate search: each weight in turn is tried smaller and larger, while anything helps.

    Parameters
    ----------
    candidates : Candidates
    start : mapping of source name to float

    Returns
    -------
    weights : dict of source name to float
    ndcg : float
        On the candidates: of the search, not of a test.
    """
    weights = dict(start)
    best = candidates.ndcg(weights)
    for _ in range(SWEEPS):
        before = best
        for name in [*candidates.values, *candidates.factors]:
            now = weights.get(name, 0.0)
            tries = {round(now * factor, 4) for factor in trials} | (
                {0.1, 0.5} if not now else set()
            )
            if name in candidates.factors:
                tries = {min(tried, MOST_POWER) for tried in tries}
            for tried in sorted(tries):
                found = candidates.ndcg({**weights, name: tried})
                if found > best + LEAST_GAIN:
                    best, weights[name] = found, tried
        if best <= before:
            break
    return weights, best
