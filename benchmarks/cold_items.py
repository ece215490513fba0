"""How many of the items that nobody met yet does content find?

    python -m benchmarks.cold_items EVENTS ITEMS

A fifth of the items with five or more events is taken out of every history, three times. Recall at
20 of what people did with those, among those alone and within the whole catalog without the
history; the average of the three.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from recommendations.algorithms.histories import histories_of
from recommendations.algorithms.lists import best_items
from recommendations.algorithms.log import Log, make_log, matrix
from recommendations.algorithms.sources.content import Content
from recommendations.offline.descriptions import words_of
from recommendations.offline.files import read_table
from recommendations.offline.shop import is_kept, profiles_of, times_ms

SEEDS = (0, 1, 2)
SHOWN = 20
LEAST_EVENTS = 5
COLD_SHARE = 0.2
BLOCK = 1_000


def recall_of_cold(log: Log, words: csr_matrix, *, seed: int) -> tuple[float, float]:
    """Among the cold items alone, and within the whole catalog."""
    met = matrix(log, cap=10**9)
    often = np.flatnonzero(np.asarray((met > 0).sum(axis=0)).ravel() >= LEAST_EVENTS)
    rng = np.random.default_rng(seed)
    is_cold = np.zeros(log.n_items, bool)
    is_cold[rng.choice(often, int(often.size * COLD_SHARE), replace=False)] = True
    kept = log.take(~is_cold[log.item])
    wanted = (met @ csr_matrix(np.diag(is_cold).astype(np.int64))).tocsr()
    asked = np.flatnonzero((np.diff(kept.bounds()) > 0) & (wanted.getnnz(axis=1) > 0))
    source = Content(words).fit(kept)
    narrow, wide = [], []
    for first in range(0, asked.size, BLOCK):
        some = asked[first : first + BLOCK]
        histories = histories_of(kept, some, now_ms=int(log.ts_ms.max()))
        scores = source.score(histories)
        targets = wanted[some].toarray() > 0
        narrow.append(recall(np.where(is_cold, scores, 0), targets))
        scores[histories.question, histories.item] = 0
        wide.append(recall(scores, targets))
    return float(np.concatenate(narrow).mean()), float(np.concatenate(wide).mean())


def recall(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    lists = best_items(scores.astype(np.float32), n=SHOWN)
    hit = np.take_along_axis(targets, np.maximum(lists, 0), axis=1) & (lists >= 0)
    return hit.sum(axis=1) / targets.sum(axis=1)


def main(events: Path, items: Path) -> None:
    table, described = read_table(events), read_table(items)
    names = sorted({*table["item"], *described["item"]})
    number = {name: place for place, name in enumerate(names)}
    kept = is_kept(table)
    profile, users, _ = profiles_of(table, kept)
    kept &= (profile >= 0) & (profile < len(users))
    item = np.array([number[cell] for cell in table["item"]])
    log = make_log(profile[kept], item[kept], ts_ms=times_ms(table)[kept], n_items=len(names))
    words = words_of(described, names)
    found = np.array([recall_of_cold(log, words, seed=seed) for seed in SEEDS])
    cold, whole = found.mean(axis=0)
    print(f"recall@{SHOWN}: {cold:.3f} among the cold items, {whole:.3f} in the whole catalog")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
