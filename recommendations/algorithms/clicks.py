"""Learning from lists that people were shown which of the products they click.

Boosted trees learn how likely a product is clicked at its place. The place is one of the columns,
and the same for all products when they are to be ordered: what the place did to the clicks is
learned as such, and not taken for a merit of the product. The place a product had in the list it
came from is no column: in old logs it is the same number, and would carry the place back in.

Source: Ling et al. (2017), "Model Ensemble for Click Prediction in Bing Search Ads", for the place
as a column; Joachims, Swaminathan & Schnabel (2017), "Unbiased Learning-to-Rank with Biased
Feedback", for clicks that count by how much their place is looked at; Järvelin & Kekäläinen (2002)
for NDCG.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from recommendations.algorithms.choosing import is_better
from recommendations.algorithms.trees import LEAF, Float64s, Trees, probabilities

HELD_BACK: Final = 0.2  # of the products that were shown, the newest
LEAST_LISTS: Final = 30  # lists with a click that are held back: fewer would be judged by luck
TREES: Final = 60
RATE: Final = 0.1
LEAVES: Final = 15
LEAST_IN_LEAF: Final = 50  # products: at a click rate of 2 % one click
LEAST_LOOKED: Final = 0.1  # beside the first place: one click far down must not decide
SAMPLE: Final = 10_000  # products that places are tried with
FIRST: Final = 1.0  # the place at which products are compared


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Products as people saw them, list after list, the oldest list first.

    Attributes
    ----------
    table : ndarray of shape (n, n_features)
        What was known of each when it was shown; NaN where it was not. The first column is the
        place in its list, from 1.
    clicked : ndarray of shape (n,), dtype bool
    lists : ndarray of shape (n,), dtype int64
        The number of the list, never falling.
    ts_ms : ndarray of shape (n,), dtype int64, unit: ms
        When the list was shown, never falling.
    blocks : ndarray of shape (n,), dtype int64
        Inside a list, products change places with those of their own block only; -1 stays.
    """

    table: Float64s
    clicked: NDArray[np.bool_]
    lists: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    blocks: NDArray[np.int64]

    def __len__(self) -> int:
        return self.clicked.size

    @property
    def places(self) -> Float64s:
        found: Float64s = self.table[:, 0]
        return found

    def take(self, rows: NDArray[np.bool_]) -> "Shown":
        return Shown(
            self.table[rows],
            self.clicked[rows],
            self.lists[rows],
            self.ts_ms[rows],
            self.blocks[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What came of the held-back part.

    Attributes
    ----------
    lists : int
        Held back, with a click.
    shown, new : float
        NDCG of the order that was shown, and of the learned one, see `try_out`.
    better : bool
        By more than luck.
    """

    lists: int
    shown: float
    new: float
    better: bool


def learn(shown: Shown) -> Trees:
    """How likely products are clicked. The same rows give the same bits.

    Raises
    ------
    ValueError
        If nothing was clicked, or everything.
    """
    if not 0 < shown.clicked.sum() < len(shown):
        raise ValueError("there must be products with a click and without one")
    learned = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=RATE,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=LEAST_IN_LEAF,
        early_stopping=False,  # it would hold back at random; we hold back by time
        random_state=0,
    )
    unknown = np.isnan(shown.table).all(axis=0)  # scikit-learn 1.9 stumbles over such a column
    learned.fit(np.where(unknown, 0, shown.table), shown.clicked)
    return read_classifier(learned)


def read_classifier(learned: HistGradientBoostingClassifier) -> Trees:
    """The trees of a fitted classifier of two classes whose features are all numbers."""
    parts = [predictor.nodes for (predictor,) in learned._predictors]
    sizes = np.array([nodes.size for nodes in parts], np.int64)
    roots = np.cumsum(sizes) - sizes
    nodes = np.concatenate(parts)
    leaf = nodes["is_leaf"].astype(bool)
    own = np.arange(nodes.size)
    shift = np.repeat(roots, sizes)
    return Trees(
        roots=roots.astype(np.int32),
        feature=np.where(leaf, LEAF, nodes["feature_idx"]).astype(np.int32),
        threshold=nodes["num_threshold"].astype(np.float64),
        missing_left=nodes["missing_go_to_left"].astype(np.uint8),
        left=np.where(leaf, own, nodes["left"] + shift).astype(np.int32),
        right=np.where(leaf, own, nodes["right"] + shift).astype(np.int32),
        value=nodes["value"].astype(np.float64),
        gain=np.where(leaf, 0, np.maximum(nodes["gain"], 0)).astype(np.float64),
        baseline=np.asarray(learned._baseline_prediction, np.float64).reshape(1),
    )


def hold_back(shown: Shown) -> tuple[Shown, Shown]:
    """The older lists to learn from, and the newest to judge by; a moment is never cut in two."""
    if not len(shown):
        return shown, shown
    cut_ms = shown.ts_ms[min(int(len(shown) * (1 - HELD_BACK)), len(shown) - 1)]
    late = shown.ts_ms >= cut_ms
    return shown.take(~late), shown.take(late)


def try_out(shown: Shown) -> Verdict:
    """Learn from the older lists, and order the newest: whether people found what they clicked
    further up than in the order they were shown.

    A click far down counts for more, by how much less people look there: otherwise the order that
    was shown had its own clicks on its side, and hardly anything could beat it.
    """
    older, newest = hold_back(shown)
    if not 0 < older.clicked.sum() < len(older):
        return Verdict(0, 0.0, 0.0, better=False)
    trees = learn(older)
    gains = newest.clicked / looked_at(trees, older, newest.places)
    usual = ndcg(newest, newest.places, gains)
    new = ndcg(newest, reorder(newest, at_first_place(trees, newest.table)), gains)
    if usual.size < LEAST_LISTS:
        return Verdict(usual.size, 0.0, 0.0, better=False)
    return Verdict(usual.size, float(usual.mean()), float(new.mean()), is_better(new, usual))


def looked_at(trees: Trees, shown: Shown, places: Float64s) -> Float64s:
    """How much places are looked at beside the first, as the trees have learned it.

    Parameters
    ----------
    trees : Trees
    shown : Shown
        What is put at each place in turn; some of it, evenly spread.
    places : ndarray of shape (n,), from 1

    Returns
    -------
    ndarray of shape (n,), `LEAST_LOOKED` to 1
        Never rising from one place to the next.
    """
    table = shown.table[:: max(1, len(shown) // SAMPLE)].copy()
    known, at = np.unique(np.append(FIRST, places), return_inverse=True)
    rates = np.empty(known.size)
    for number, place in enumerate(known):
        table[:, 0] = place
        rates[number] = probabilities(trees, table).mean()
    found: Float64s = np.minimum.accumulate(rates / rates[0])
    return np.maximum(found, LEAST_LOOKED)[at[1:]]


def at_first_place(trees: Trees, table: Float64s) -> Float64s:
    """How likely each product would be clicked, did all stand at the first place."""
    alike = table.copy()
    alike[:, 0] = FIRST
    return probabilities(trees, alike)


def reorder(shown: Shown, likely: Float64s) -> Float64s:
    """The places by what is likely: of equals, what stood first.

    Parameters
    ----------
    shown : Shown
    likely : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)
        The places of each list, given anew inside its blocks.
    """
    kept = np.where(shown.blocks < 0, -shown.places, likely)
    before = np.lexsort((shown.places, shown.blocks, shown.lists))
    after = np.lexsort((shown.places, -kept, shown.blocks, shown.lists))
    found = np.empty(len(shown))
    found[after] = shown.places[before]
    return found


def ndcg(shown: Shown, places: Float64s, gains: Float64s) -> Float64s:
    """Of each list with a click: its gains by place, over the same gains at the top.

    Each list counts by its gain per click beside that of all lists, so that the mean is the NDCG
    that people would have who look at all places alike.

    Parameters
    ----------
    shown : Shown
    places : ndarray of shape (n,), from 1
    gains : ndarray of shape (n,)
        Above 0 where there was a click, else 0.

    Returns
    -------
    ndarray of shape (lists with a click,), above 0
    """
    if not len(shown):
        return np.zeros(0)
    starts = np.flatnonzero(np.diff(shown.lists, prepend=shown.lists[0] - 1))
    sizes = np.diff(np.append(starts, len(shown)))
    ranks = np.empty(len(shown))
    ranks[np.lexsort((-gains, shown.lists))] = np.arange(len(shown)) - np.repeat(starts, sizes)
    reached = np.add.reduceat(gains / np.log2(1 + places), starts)
    ideal = np.add.reduceat(gains / np.log2(2 + ranks), starts)
    clicks = np.add.reduceat((gains > 0).astype(np.float64), starts)
    some = clicks > 0
    worth = np.add.reduceat(gains, starts)[some] / clicks[some]
    found: Float64s = reached[some] / ideal[some] * worth / worth.mean() if some.any() else worth
    return found


def weights(trees: Trees, *, n_features: int) -> Float64s:
    """The share of what the trees explain that each column has; 0 everywhere without a question.

    Returns
    -------
    ndarray of shape (n_features,), summing to 1 or 0
    """
    inner = trees.feature != LEAF
    gains = np.bincount(trees.feature[inner], trees.gain[inner], minlength=n_features)
    found: Float64s = gains / max(gains.sum(), np.finfo(float).tiny)
    return found
