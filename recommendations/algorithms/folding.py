"""What happened since a build, folded into its counted lists: exactly, and without learning anew.

A row of either count depends on the histories of the profiles that met its item, and on nothing
else. So a *mark* is kept of each row, a sum over these histories; a row whose mark is another is
counted again from the log, by the very loops of the build. However a history changed (new events,
late ones, people who became one, people who were erased) the row is what a build would make of it.

Rows that did not change keep the scores they had: the sums in them are exact, only how often their
neighbours occur is as old as the row. The next build makes them new.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.correlation import NextItems, SimilarItems
from recommendations.algorithms.lists import Lists
from recommendations.algorithms.log import Events, Log, matrix, sequences
from recommendations.algorithms.readings import Machine, next_items, similar_items
from recommendations.algorithms.recipe import Recipe

CHUNK: Final = 2_000_000  # events at a time
MOST_WORK: Final = 100_000_000  # additions of one call: some seconds with reading the log

Int64s = NDArray[np.int64]
Marks = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What must be known of rows that are not counted again.

    Attributes
    ----------
    marks : ndarray of shape (n_items,), dtype uint64
    similar, next : ndarray of shape (n_items,), dtype int64
        How often each item occurs in either count.
    """

    marks: Marks
    similar: Int64s
    next: Int64s

    def take(self, items: Int64s) -> "Counted":
        """The same in other numbers: item `k` is now what was ``items[k]``."""
        return Counted(self.marks[items], self.similar[items], self.next[items])

    def widened(self, n_items: int) -> "Counted":
        """With further items that nobody met."""
        more = n_items - self.marks.size
        return Counted(
            np.pad(self.marks, (0, more)),
            np.pad(self.similar, (0, more)),
            np.pad(self.next, (0, more)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """The rows that were counted again.

    Attributes
    ----------
    items : ndarray of shape (n_rows,), dtype int64, ascending
    similar, next : Lists of n_rows rows
    counted : Counted
        For the next time.
    waiting : int
        Rows that changed too, and that are left to the next time.
    """

    items: Int64s
    similar: Lists
    next: Lists
    counted: Counted
    waiting: int


def count(log: Log, recipe: Recipe, machine: Machine) -> tuple[dict[str, Lists], Counted]:
    """The counted lists of everything, and what folds go on from."""
    following = next_items(recipe, machine).fit(sequences(log, cap=recipe.history_cap))
    similar = similar_items(recipe, machine).fit(matrix(log, cap=recipe.history_cap))
    counted = Counted(mark_rows(log), similar.occurrences_, following.occurrences_)
    return {"next": lists_of(following), "similar": lists_of(similar)}, counted


def fold(
    events: Events,
    marks: Marks,
    before: Counted,
    recipe: Recipe,
    machine: Machine,
    *,
    most_work: int = MOST_WORK,
) -> Folded | None:
    """Count the rows again that changed.

    Parameters
    ----------
    events : Events
        Everything there is now; ties between items go to the smaller number.
    marks : ndarray of shape (n_items,), dtype uint64
        `mark_rows` of the events, in whatever numbers those of `before` were made.
    before : Counted
        As the build or the fold before left it.
    recipe : Recipe
        Of the build.
    machine : Machine
    most_work : int, unit: additions
        So many at most, unless a single row needs more. The rows whose number of events changed
        most come first.

    Returns
    -------
    Folded, or None where nothing changed
    """
    changed = np.flatnonzero(marks != before.marks)
    if not changed.size:
        return None
    items = within(changed, events, before, most_work=most_work)
    log = events.take(of_profiles_with(items, events)).as_log()
    similar = similar_items(recipe, machine).fit(
        matrix(log, cap=recipe.history_cap), rows=items, elsewhere=before.similar
    )
    following = next_items(recipe, machine).fit(
        sequences(log, cap=recipe.history_cap), rows=items, elsewhere=before.next
    )
    kept = before.marks.copy()
    kept[items] = marks[items]
    return Folded(
        items,
        lists_of(similar),
        lists_of(following),
        Counted(kept, similar.occurrences_, following.occurrences_),
        waiting=changed.size - items.size,
    )


def lists_of(fitted: SimilarItems | NextItems) -> Lists:
    return Lists(fitted.neighbours_, fitted.scores_)


def of_profiles_with(items: Int64s, events: Events) -> NDArray[np.bool_]:
    """Marks all events of the profiles that met one of the items."""
    wanted = np.zeros(events.n_items, bool)
    wanted[items] = True
    met = np.zeros(int(events.profile.max(initial=-1)) + 1, bool)
    met[events.profile[wanted[events.item]]] = True
    found: NDArray[np.bool_] = met[events.profile]
    return found


def within(changed: Int64s, events: Events, before: Counted, *, most_work: int) -> Int64s:
    """As many of the changed rows as the work allows, ascending."""
    met = np.bincount(events.item, minlength=events.n_items)
    size = np.bincount(events.profile)
    work = np.bincount(events.item, weights=size[events.profile], minlength=events.n_items)
    if work[changed].sum() <= most_work:
        return changed
    moved = np.abs(met - before.next)[changed] / np.maximum(met, 1)[changed]
    order = changed[np.lexsort((changed, -moved))]
    fits = np.cumsum(work[order]) <= most_work
    fits[0] = True
    return np.sort(order[fits])


def mark_rows(events: Events | Log) -> Marks:
    """A mark of each item's row: a sum over the histories that it depends on.

    Parameters
    ----------
    events : Events or Log

    Returns
    -------
    ndarray of shape (n_items,), dtype uint64
        0 for an item that nobody met. Different histories give different marks but for one chance
        in 2**64, whatever order they come in; who the profiles are does not count. The numbers of
        the items do.
    """
    histories = np.zeros(int(events.profile.max(initial=-1)) + 1, np.uint64)
    for part in chunks(events):
        told = mixed(part.ts_ms.astype(np.uint64))
        told = mixed(told ^ mixed(part.item.astype(np.uint64) + np.uint64(1)))
        told = mixed(told + part.weight.astype(np.uint64))
        np.add.at(histories, part.profile, told)
    marks = np.zeros(events.n_items, np.uint64)
    for part in chunks(events):
        np.add.at(marks, part.item, mixed(histories[part.profile]))
    return marks


def chunks(events: Events | Log) -> list[Events]:
    """Views of so many events each that what is made of them stays small."""
    return [
        Events(
            events.profile[first : first + CHUNK].astype(np.int64),
            events.item[first : first + CHUNK],
            events.weight[first : first + CHUNK],
            events.ts_ms[first : first + CHUNK],
            events.n_items,
        )
        for first in range(0, len(events), CHUNK)
    ]


def mixed(values: Marks) -> Marks:
    """Every bit of a number stirred into all others.

    Source: the finalizer of Steele, Lea & Flood (2014), "Fast splittable pseudorandom number
    generators".
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
