"""The constants of a shop, chosen on events that the model did not learn from.

A film club's next film follows from the last one; a shop's next order from what was in all the
baskets before it. Which it is, only the shop's own events can tell: on one, reading the last ten
touches with a quick fading is best, on the other it costs half of the accuracy.

Chosen one after the other: the tilt of *similar*; for each memory the weights of the readings and
the power of the trend, and the best of these; then the weight of people's own items where repeats
are wanted, and that of visits like theirs for people with a short history. Each by NDCG@10 on the
newest part of the log.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.blending import Candidates, find_weights, gather
from recommendations.algorithms.histories import Histories, histories_of, recency, touched
from recommendations.algorithms.lists import Lists
from recommendations.algorithms.log import Log
from recommendations.algorithms.model import ItemModel, Mixture, answer, evaluate, mix, scales
from recommendations.algorithms.quality import discounted, hits
from recommendations.algorithms.readings import COUNTED, READINGS, read_similar
from recommendations.algorithms.recipe import Recipe
from recommendations.algorithms.sources import Boost, Scores, Source
from recommendations.algorithms.sources.personal import Personal
from recommendations.algorithms.split import Split, hold_out
from recommendations.algorithms.trial import Trial, marked
from recommendations.algorithms.visits import LONGEST, make_sessions, visits_of

TARGETS: Final = (0.5, 0.6, 0.7)  # power of how often a neighbour occurs, in "similar"
MEMORIES: Final = ((10, 0.6), (20, 0.8), (50, 0.9), (50, 0.95))  # touches, their fading per step
LEAST_PROFILES: Final = 100  # fewer would choose by luck
# That the search asks: 1,000 find a gain of 0.3 % on MovieLens 1M where 4,000 find 5 %, in as many
# times the seconds; so where items are many, they are as many as cost the same.
LEAST_ASKED, MOST_ASKED, MOST_CELLS = 1_000, 4_000, 20_000_000
MOST_JUDGES: Final = 5_000  # that decide on what it found: the more, the smaller a gain is seen
LEAST_GAIN: Final = 0.02  # of the figure, for the documented constants to give way
ERRORS: Final = 2.0  # standard errors of the gain that count as luck
LEAST_SHARE: Final = 0.005  # of the figure, for a reading to be worth the time it takes
FIGURE: Final = "ndcg@10"
TREND: Final = "trend"
AGAIN: Final = "again"
VISITS: Final = "visits"
AGAINS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # weights of these beside 1 of personal lists
SALE: Final = 5  # events of this weight and more are sales
K: Final = 10


def choose_recipe(
    log: Log,
    start: Recipe,
    *,
    kept: Recipe | None = None,
    tell: Callable[[float], None] = lambda share: None,
    **model: Any,
) -> Recipe:
    """The present choice, or what answers the newest part of the log clearly better.

    Parameters
    ----------
    log : Log
        What may be learned from; its newest part is held back here once more, so that whoever
        measures the choice measures it on other events.
    start : Recipe
        Where the search begins.
    kept : Recipe, default the start
        The present choice: kept where the log is too thin to choose, and unless something is
        clearly better. The search does not begin there: the same log, built twice, would not
        end at the same recipe.
    tell : callable
        Hears the share of the work that is done.
    **model
        Further arguments of `ItemModel`.

    Returns
    -------
    Recipe
        The same log gives the same recipe.
    """
    kept = kept or start
    judges = sampled(hold_out(log), most=MOST_JUDGES)
    split = sampled(judges, most=most_asked(log.n_items))
    if split.profiles.size < LEAST_PROFILES:
        return kept
    every = dataclasses.replace(start, weights=dict.fromkeys(READINGS, 1.0))
    learned = ItemModel(every, **model).fit(split.train, tell=lambda share: tell(share / 2))
    tell(0.5)
    target, learned.lists_["similar"] = choose_target(learned, start, split)
    recipe = dataclasses.replace(start, similar_target=target)
    recipe = choose_mixture(learned, recipe, split, tell=lambda share: tell(0.6 + 0.3 * share))
    recipe = dataclasses.replace(recipe, again=choose_again(learned, recipe, log, split.cut_ms))
    recipe = dataclasses.replace(recipe, visits=choose_visits(learned, recipe, judges))
    new = each(learned, recipe, judges)
    if kept.similar_target != target:
        learned.lists_["similar"] = read_similar(split.train, kept, learned.machine)
    return recipe if is_better(new, each(learned, kept, judges)) else kept


def most_asked(n_items: int) -> int:
    """How many people the search asks; their answers for all items are held in memory."""
    return min(max(MOST_CELLS // max(n_items, 1), LEAST_ASKED), MOST_ASKED)


def is_better(
    new: NDArray[np.float64],
    usual: NDArray[np.float64],
    *,
    least_gain: float = LEAST_GAIN,
    errors: float = ERRORS,
) -> bool:
    """By more than a share of the figure, and by more than luck.

    Many recipes are tried on the same few people, and the best of many looks better than it is:
    a shop of two hundred would get another one every night, and the gate would refuse half.

    Parameters
    ----------
    new, usual : ndarrays of shape (n_asked,)
        The figure of each person who was asked, in the same order.
    least_gain : float, unit: share of the usual figure
    errors : float, unit: standard errors of the gain
        So many count as luck.
    """
    gain = new - usual
    luck = errors * gain.std(ddof=1) / np.sqrt(gain.size)
    return bool(gain.mean() > max(least_gain * usual.mean(), luck))


def choose_target(learned: ItemModel, start: Recipe, split: Split) -> tuple[float, Lists]:
    """The tilt by which *similar* alone answers best, and its lists."""
    best, reached = (start.similar_target, learned.lists_["similar"]), 0.0
    for target in TARGETS:
        recipe = dataclasses.replace(start, similar_target=target)
        lists = (
            learned.lists_["similar"]
            if target == start.similar_target
            else read_similar(split.train, recipe, learned.machine)
        )
        alone = mix([lists], [1.0], boost=np.ones(split.train.n_items), rows=asked_by(split))
        found = figure(alone, recipe, split, learned)
        if found > reached * (1 + LEAST_GAIN):
            best, reached = (target, lists), found
    return best


def choose_mixture(
    learned: ItemModel, recipe: Recipe, split: Split, *, tell: Callable[[float], None]
) -> Recipe:
    """How many touches speak and how they fade, the weights of the readings, the trend's power.

    Weights are sought for each memory: what is best by a short one may be poor by a long one.
    """
    unit = dict(zip(READINGS, scales(learned.lists_, dict.fromkeys(READINGS, 1.0)), strict=True))
    trial = trial_of(split)
    start = {**recipe.weights, TREND: recipe.personal_tilt}
    best, reached = recipe, 0.0
    for done, (history, fading) in enumerate(MEMORIES):
        tell(done / len(MEMORIES))
        sources: dict[str, Source] = {
            name: ByLists(lists, scale=unit[name], history=history, fading=fading)
            for name, lists in learned.lists_.items()
        }
        sources[TREND] = Rise(learned.popularity_.rise_)
        candidates = gather(sources, trial, k=K, on_one_scale=True)
        found, figure = find_weights(candidates, start)
        if figure > reached:
            weights = without_idle(candidates, found, figure)
            tilt = weights.pop(TREND, 0.0)
            best, reached = (
                dataclasses.replace(
                    recipe, weights=weights, personal_tilt=tilt, history=history, fading=fading
                ),
                figure,
            )
    return best if best.weights else recipe


def without_idle(
    candidates: Candidates, weights: Mapping[str, float], reached: float
) -> dict[str, float]:
    """Without the costly readings that hardly anybody would miss, beginning with the lightest."""
    kept = {name: weight for name, weight in weights.items() if weight > 0}
    for name in sorted(kept, key=lambda name: (kept[name], name)):
        fewer = {other: weight for other, weight in kept.items() if other != name}
        costly = name != TREND and name not in COUNTED
        if costly and candidates.ndcg(fewer) >= reached * (1 - LEAST_SHARE):
            kept = fewer
    return kept


def choose_again(learned: ItemModel, recipe: Recipe, log: Log, cut_ms: int) -> float:
    """The weight of a person's own items in lists that may repeat, by what came after the cut.

    The documented one where the log was not cut in time or too few are to be asked.
    """
    trial = repeats_after(log, cut_ms) if cut_ms else None
    if trial is None or len(trial) < LEAST_PROFILES:
        return recipe.again
    personal = learned.mixture(recipe)
    lists = Lists(personal.neighbours, personal.strength)
    sources: dict[str, Source] = {
        "personal": ByLists(lists, scale=1.0, history=recipe.history, fading=recipe.fading),
        AGAIN: Personal().fit(trial.train),
    }
    sample = trial.sample(most_asked(log.n_items), rng=np.random.default_rng(0))
    candidates = gather(sources, sample, k=K)
    figures = {weight: candidates.ndcg({"personal": 1.0, AGAIN: weight}) for weight in AGAINS}
    best = max(AGAINS, key=lambda weight: (figures[weight], -weight))
    usual = figures.get(recipe.again, 0.0)
    return best if figures[best] > usual * (1 + LEAST_GAIN) else recipe.again


def choose_visits(learned: ItemModel, recipe: Recipe, split: Split) -> float:
    """The weight of visits like mine beside 1 of the personal lists, for short histories.

    0, which costs nothing, unless it answers them clearly better.
    """
    trial = trial_of(split)
    items_each = np.diff(touched(trial.asked).indptr)
    short = np.flatnonzero((items_each >= 2) & (items_each <= LONGEST))
    if short.size < LEAST_PROFILES:
        return recipe.visits
    asked = trial.asked.chosen(short)
    trial = Trial(split.train, asked, trial.targets[short], touched(asked)).sample(
        most_asked(asked.n_items), rng=np.random.default_rng(0)
    )
    personal = learned.mixture(recipe)
    lists = Lists(personal.neighbours, personal.strength)
    sources: dict[str, Source] = {
        "personal": ByLists(lists, scale=1.0, history=recipe.history, fading=recipe.fading),
        VISITS: make_sessions().fit(visits_of(split.train)),
    }
    candidates = gather(sources, trial, k=K)
    figures = {weight: candidates.ndcg({"personal": 1.0, VISITS: weight}) for weight in AGAINS}
    best = max(AGAINS, key=lambda weight: (figures[weight], -weight))
    return best if figures[best] > figures[0.0] * (1 + LEAST_GAIN) else 0.0


def repeats_after(log: Log, cut_ms: int) -> Trial | None:
    """Known people are asked what they met, or bought where there are sales, after the cut."""
    late = log.ts_ms >= cut_ms
    wanted = log.take(late)
    if (wanted.weight >= SALE).any():
        wanted = wanted.take(wanted.weight >= SALE)
    train = log.take(~late)
    known = np.flatnonzero(np.diff(train.bounds()))
    asked = np.intersect1d(known, wanted.profile)
    if not asked.size:
        return None
    kept = wanted.take(np.isin(wanted.profile, asked))
    question = np.searchsorted(asked, kept.profile)
    targets = marked(question, kept.item, shape=(asked.size, log.n_items))
    return Trial(train, histories_of(train, asked, now_ms=cut_ms), targets, None)


class ByLists(Source):
    """The lists of one reading, read with the newest items of a history.

    Parameters
    ----------
    lists : Lists
    scale : float
        Multiplied into all scores.
    history : int, unit: items
    fading : float
        Per step back.
    """

    def __init__(self, lists: Lists, *, scale: float, history: int, fading: float) -> None:
        self.strength = lists.as_matrix() * np.float32(scale)
        self.history = history
        self.fading = fading

    def fit(self, log: Log) -> "ByLists":
        """The lists are what was learned."""
        return self

    def score(self, asked: Histories) -> Scores:
        rows: csr_matrix = recency(asked, fading=self.fading, cap=self.history)
        found: Scores = (rows @ self.strength).toarray()
        return found


class Rise(Boost):
    """How much larger each item is now than it was."""

    def __init__(self, rise: NDArray[np.float64]) -> None:
        self.rise = rise.astype(np.float32)

    def fit(self, log: Log) -> "Rise":
        return self

    def score(self, asked: Histories) -> Scores:
        return np.tile(self.rise, (len(asked), 1))


def trial_of(split: Split) -> Trial:
    """The same questions for the search of weights."""
    asked = histories_of(split.train, split.profiles, now_ms=split.cut_ms)
    question = np.repeat(np.arange(split.profiles.size), [one.size for one in split.targets])
    shape = (split.profiles.size, split.train.n_items)
    targets = marked(question, np.concatenate(split.targets), shape=shape)
    return Trial(split.train, asked, targets, touched(asked))


def each(learned: ItemModel, recipe: Recipe, split: Split) -> NDArray[np.float64]:
    """The figure of everybody who is asked.

    Only the mixture is made anew, and of it only the rows that anybody is answered by.
    """
    lists, _ = answer(
        learned.mixture(recipe, rows=asked_by(split)), split,
        history=recipe.history, fading=recipe.fading, use_numba=learned.machine.use_numba,
    )  # fmt: skip
    wanted = np.array([one.size for one in split.targets])
    return discounted(hits(lists[:, :K], split.targets), wanted, k=K)


def figure(personal: Mixture, recipe: Recipe, split: Split, learned: ItemModel) -> float:
    figures, _ = evaluate(
        personal, split, history=recipe.history, fading=recipe.fading,
        use_numba=learned.machine.use_numba,
    )  # fmt: skip
    return figures[FIGURE]


def asked_by(split: Split) -> NDArray[np.int64]:
    """The items of everybody who is asked."""
    events = np.isin(split.train.profile, split.profiles)
    return np.unique(split.train.item[events]).astype(np.int64)


def sampled(split: Split, *, most: int) -> Split:
    """At most so many of the profiles that are asked, evenly spread."""
    if split.profiles.size <= most:
        return split
    places = np.linspace(0, split.profiles.size - 1, most).astype(np.int64)
    targets = [split.targets[place] for place in places]
    return dataclasses.replace(split, profiles=split.profiles[places], targets=targets)
