"""One evaluation from beginning to end: rehearse, choose, learn from everything, measure."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engage.lib.errors import InvalidInput
from recommendations.algorithms.blending import Blend, find_weights, gather
from recommendations.algorithms.log import matrix
from recommendations.algorithms.quality import diversity, gini, measure
from recommendations.offline.task import Task

logger = logging.getLogger(__name__)

AUTO = "auto"
SHOWN = 20  # items per list
REHEARSED = 4_000  # questions that weights are chosen on; more move no weight
COMPARED = 2_000  # lists whose items are compared with each other
HISTORY_CAP = 500  # newest items of a profile that tell which items are alike
SEED = 20_261_128

Tell = Callable[[float, str], None]  # the share that is done and the step


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate_recommendations` prints."""

    model: str
    protocol: str
    questions: int
    items: int
    metrics: Mapping[str, float]
    fit_seconds: float
    weights: Mapping[str, float]
    rehearsal: float
    counts: Mapping[str, int]


def evaluate(
    task: Task, *, model: str = AUTO, tell: Tell = lambda share, step: None
) -> Evaluation:
    """Choose by the rehearsal, learn from the whole training file, and answer the test once.

    Parameters
    ----------
    task : Task
    model : str
        "auto" blends all that fits the data; the name of a source takes it alone.
    tell : function of the share that is done and the step's name

    Raises
    ------
    InvalidInput
        The model is not known for these data, or nobody is to be asked.
    """
    if not len(task.trial):
        found = ", ".join(f"{name} {count:,}" for name, count in task.counts.items())
        raise InvalidInput(f"The test file asks nobody that the training file knows ({found}).")
    if model != AUTO and model not in task.makers:
        known = ", ".join([AUTO, *task.makers])
        raise InvalidInput(f"There is no model {model!r} for these data; there are {known}.")
    start = time.perf_counter()
    if model == AUTO:
        weights, rehearsed = rehearse(task, tell=tell)
    else:
        weights, rehearsed = {model: 1.0}, float("nan")
    blend = Blend({name: make() for name, make in task.makers.items()}, weights)
    for place, (name, source) in enumerate(blend.sources.items()):
        tell(0.5 + 0.3 * place / len(blend.sources), f"learning {name}")
        source.fit(task.trial.train)
    fit_seconds = time.perf_counter() - start
    tell(0.8, "answering")
    figures = figures_of(blend, task)
    tell(1.0, "done")
    return Evaluation(
        model=model,
        protocol=task.protocol,
        questions=len(task.trial),
        items=task.trial.train.n_items,
        metrics=figures,
        fit_seconds=round(fit_seconds, 2),
        weights=blend.weights,
        rehearsal=rehearsed,
        counts=dict(task.counts),
    )


def rehearse(task: Task, *, tell: Tell) -> tuple[dict[str, float], float]:
    """The weights that do best on the rehearsal; the start where nobody can be asked there."""
    if not len(task.rehearsal):
        return dict(task.start), float("nan")
    sources = {name: make() for name, make in task.makers.items()}
    for place, (name, source) in enumerate(sources.items()):
        tell(0.4 * place / len(sources), f"rehearsing {name}")
        source.fit(task.rehearsal.train)
    tell(0.4, "choosing weights")
    sample = task.rehearsal.sample(REHEARSED, rng=np.random.default_rng(SEED))
    candidates = gather(sources, sample, k=task.k)
    return find_weights(candidates, task.start)


def figures_of(blend: Blend, task: Task) -> dict[str, float]:
    """All figures of the lists that the blend gives."""
    trial = task.trial
    train, wanted = trial.train, trial.wanted()
    lists = blend.lists(trial.asked, trial.hidden, n=SHOWN)
    occurrences = np.bincount(train.item, minlength=train.n_items).astype(np.int64)
    narrow = measure(lists, wanted, occurrences=occurrences, k=10)
    wide = measure(lists, wanted, occurrences=occurrences, k=SHOWN)
    some = np.linspace(0, len(lists) - 1, min(len(lists), COMPARED)).astype(np.int64)
    return (
        narrow
        | wide
        | {
            f"gini@{SHOWN}": gini(lists, n_items=train.n_items),
            f"diversity@{SHOWN}": diversity(lists[some], matrix(train, cap=HISTORY_CAP)),
        }
        | dict(task.further(lists, trial))
    )


def as_json(found: Evaluation, *, peak_memory_mb: float) -> dict[str, Any]:
    """In the shape that the command prints."""
    return {
        "model": found.model,
        "protocol": found.protocol,
        "users": found.questions,
        "items": found.items,
        "metrics": {name: round(value, 5) for name, value in found.metrics.items()},
        "fit_seconds": found.fit_seconds,
        "peak_memory_mb": peak_memory_mb,
        "weights": dict(found.weights),
        "left_out": dict(found.counts),
    }
