"""What a pair of files asks for: the trial, its rehearsal, and what may be tried."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.sources import Source
from recommendations.algorithms.trial import Trial


def _none(lists: NDArray[np.int32], trial: Trial) -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One evaluation.

    Attributes
    ----------
    protocol : str
    trial : Trial
        The test: learned from the whole training file.
    rehearsal : Trial
        The same question made from the training file alone; every choice is made on it.
    makers : mapping of source name to a function that makes the source, unfitted
        What may be blended for these data.
    start : mapping of source name to float
        The documented weights that the search begins with.
    k : int
        Weights are chosen by NDCG at `k`.
    counts : mapping of str to int
        What was left out and why, such as unknown users and items of the test.
    further : function of the lists and the trial
        Figures that only this protocol has.
    """

    protocol: str
    trial: Trial
    rehearsal: Trial
    makers: Mapping[str, Callable[[], Source]]
    start: Mapping[str, float]
    k: int = 10
    counts: Mapping[str, int] = field(default_factory=dict)
    further: Callable[[NDArray[np.int32], Trial], Mapping[str, float]] = _none
