"""What is popular among people with the same country, gender or tier: for those without a history.

    lift[v, i] = (met[v, i] + 3) / (met[v] · met[i] / met + 3)

How much oftener people with the value `v` met item `i` than everybody did, shrunk towards 1 where
little is known. A popular list is multiplied by it; several attributes multiply their lifts, as if
each said something of its own (naive Bayes).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.algorithms.log import Log, last_touches
from recommendations.algorithms.popularity import UNIT, Scores, best_first, days_old, freshness

SHRINK: Final = 3 * UNIT  # people added to those who met an item, and to those expected
LEAST_PEOPLE: Final = 20  # of a value: what fewer did stays their own
KEPT: Final = 200  # best items of each value
HISTORY_CAP: Final = 500  # newest items of a profile that count

UNKNOWN: Final = -1
Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]


class Attribute(NamedTuple):
    """Something known of people.

    Attributes
    ----------
    name : str
    values : list of n_values str, ascending
    code : ndarray of shape (n_profiles,), dtype int32
        Place in `values`, -1 where it is not known.
    """

    name: str
    values: list[str]
    code: NDArray[np.int32]


class Met(NamedTuple):
    """What the people of each value met, everybody each item once, older touches counting less.

    Attributes
    ----------
    items : csr_matrix of shape (n_values, n_items), dtype int64, unit: 1 / `UNIT`
        Empty rows for values of fewer than `LEAST_PEOPLE`.
    expected : ndarray of shape (n_items,), dtype float64
        The share of each item among what everybody met.
    enough : ndarray of shape (n_values,), dtype bool
        Whether as many people as `LEAST_PEOPLE` have the value.
    """

    items: csr_matrix
    expected: Float64s
    enough: NDArray[np.bool_]


class Prior(NamedTuple):
    """What a popular list is multiplied by.

    Attributes
    ----------
    values : dict of attribute name to list of str
        In the order of the rows: names ascending, then values ascending.
    items : ndarray of shape (n_candidates,), dtype int32, ascending
    lift : ndarray of shape (n_rows, n_candidates), dtype float32
    """

    values: dict[str, list[str]]
    items: NDArray[np.int32]
    lift: NDArray[np.float32]


NOBODY: Final = Prior({}, np.zeros(0, np.int32), np.zeros((0, 0), np.float32))


def each_once(log: Log) -> Log:
    """What `count_met` takes: every item once per profile, at its last touch."""
    return last_touches(log, cap=HISTORY_CAP)


def count_met(once: Log, attribute: Attribute, *, half_life_days: float) -> Met:
    """Exact integer sums per value and item.

    Parameters
    ----------
    once : Log
        See `each_once`.
    attribute : Attribute
        Of the log's profiles.
    half_life_days : float
        A touch this much older counts half.
    """
    fresh = freshness(days_old(once.ts_ms), half_life_days=half_life_days)
    n_values = len(attribute.values)
    code = attribute.code.astype(np.int64)
    active = code[np.unique(once.profile)]
    enough = np.bincount(active[active >= 0], minlength=n_values) >= LEAST_PEOPLE
    code[~np.append(enough, False)[code]] = UNKNOWN
    of = code[once.profile]
    known = of >= 0
    items = csr_matrix(
        (fresh[known], (of[known], once.item[known])), shape=(n_values, once.n_items)
    )
    items.sum_duplicates()
    everybody = np.bincount(once.item, fresh, once.n_items)  # integers below 2^53: exact
    return Met(items, everybody / max(everybody.sum(), 1.0), enough)


def lift(met: Met, items: NDArray[np.int32]) -> Float64s:
    """How much oftener the people of each value met these items; 1 where nothing is known.

    Parameters
    ----------
    met : Met
    items : ndarray of shape (n_candidates,), dtype int32

    Returns
    -------
    ndarray of shape (n_values, n_candidates), dtype float64
    """
    found = met.items[:, items].toarray()
    total = np.asarray(met.items.sum(axis=1)).reshape(-1, 1)
    lifted: Float64s = (found + SHRINK) / (total * met.expected[items] + SHRINK)
    return lifted


def candidates(met: Met, popular: Scores) -> NDArray[np.int32]:
    """The best items of everybody, and the best of what the people of each value met; ascending.

    What they did not meet stands lower for them than for everybody.
    """
    found = [best_first(popular)[:KEPT]]
    bounds = met.items.indptr
    for value in np.flatnonzero(met.enough).tolist():
        own = np.sort(met.items.indices[bounds[value] : bounds[value + 1]])
        own = own[popular[own] > 0]
        only = met._replace(items=met.items[[value]])
        scores = popular[own] * lift(only, own)[0]
        found.append(own[np.lexsort((own, -scores))[:KEPT]])
    return np.unique(np.concatenate(found)).astype(np.int32)


def learn(
    log: Log, attributes: Sequence[Attribute], popular: Scores, *, half_life_days: float
) -> Prior:
    """The lifts of all values that enough people have.

    Parameters
    ----------
    log : Log
    attributes : sequence of Attribute
    popular : ndarray of shape (n_items,)
        What is multiplied: decides which items are candidates.
    half_life_days : float

    Returns
    -------
    Prior
        Nothing of a single profile is in it.
    """
    ordered = sorted(attributes, key=lambda one: one.name)
    once = each_once(log)
    counted = [count_met(once, one, half_life_days=half_life_days) for one in ordered]
    if not any(met.enough.any() for met in counted):
        return NOBODY
    items = np.unique(np.concatenate([candidates(met, popular) for met in counted]))
    lifts = [lift(met, items)[met.enough].astype(np.float32) for met in counted]
    values = {
        one.name: [value for value, kept in zip(one.values, met.enough, strict=True) if kept]
        for one, met in zip(ordered, counted, strict=True)
    }
    return Prior(values, items, np.concatenate(lifts))


def score(prior_lift: NDArray[np.float32], popular: Scores, rows: Sequence[int]) -> Float64s:
    """The candidates' scores for somebody with these values.

    Parameters
    ----------
    prior_lift : ndarray of shape (n_rows, n_candidates), dtype float32
    popular : ndarray of shape (n_candidates,)
    rows : sequence of int
        One row of the lift for each attribute that is known.
    """
    scores = popular.astype(np.float64)
    for row in rows:
        scores = scores * prior_lift[row]
    return scores
