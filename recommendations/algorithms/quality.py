"""How good lists are, against what people did afterwards."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

Int32s = NDArray[np.int32]


def hits(lists: Int32s, targets: list[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """Which places of the lists hold a target; -1 is an empty place."""
    row = np.repeat(np.arange(len(lists)), [one.size for one in targets])
    item = np.concatenate([*targets, np.zeros(0, np.int32)])
    width = int(max(lists.max(initial=0), item.max(initial=0))) + 1
    # As one number each: a look-up per list would take longer than ranking did.
    places = np.arange(len(lists))[:, None] * width + lists
    found: NDArray[np.bool_] = np.isin(places, row * width + item) & (lists >= 0)
    return found


def measure(
    lists: Int32s,
    targets: list[NDArray[np.int32]],
    *,
    occurrences: NDArray[np.int64],
    k: int = 10,
) -> dict[str, float]:
    """Accuracy and breadth at `k`.

    Parameters
    ----------
    lists : ndarray of shape (n_profiles, at least k), dtype int32
        Best first, no item twice, padded with -1.
    targets : list of n_profiles integer ndarrays
        What each profile touched afterwards: at least one item each, none twice.
    occurrences : ndarray of shape (n_items,), dtype int64
        How often each item was met in training.
    k : int

    Returns
    -------
    dict
        ``hr@k`` share of profiles with a hit; ``recall@k`` hits / targets, averaged over profiles;
        ``ndcg@k`` with the ideal of min(targets, k) hits; ``mrr@k`` one over the place of the
        first hit; ``coverage@k`` share of all items that stand in any list; ``novelty`` the mean
        of -log2(share of occurrences) over the shown items, in bits, unseen items counting as one
        occurrence.

    Raises
    ------
    ValueError
        If nobody is to be measured.
    """
    if not len(lists):
        raise ValueError("there is no profile to measure")
    lists = lists[:, :k]
    hit = hits(lists, targets)
    wanted = np.array([len(items) for items in targets])
    found = hit.any(axis=1)
    shown = lists[lists >= 0]
    share = np.maximum(occurrences, 1) / max(int(occurrences.sum()), 1)
    return {
        f"hr@{k}": float(found.mean()),
        f"ndcg@{k}": float(discounted(hit, wanted, k=k).mean()),
        f"recall@{k}": float((hit.sum(axis=1) / wanted).mean()),
        f"mrr@{k}": float(np.where(found, 1 / (hit.argmax(axis=1) + 1), 0).mean()),
        f"coverage@{k}": np.count_nonzero(np.bincount(shown)) / max(occurrences.size, 1),
        "novelty": float(-np.log2(share[shown]).mean()) if shown.size else 0.0,
    }


def discounted(
    hit: NDArray[np.bool_], wanted: NDArray[np.int64], *, k: int
) -> NDArray[np.float64]:
    """The NDCG of each list: its hits, discounted by place, over those of the best list.

    Parameters
    ----------
    hit : ndarray of shape (n_profiles, at most k)
    wanted : ndarray of shape (n_profiles,)
        How many targets each has, at least 1.
    k : int
    """
    gains = 1 / np.log2(np.arange(k) + 2)
    ideal = np.append(0, np.cumsum(gains))[np.minimum(wanted, k)]
    found: NDArray[np.float64] = (hit * gains[: hit.shape[1]]).sum(axis=1) / ideal
    return found


def gini(lists: Int32s, *, n_items: int) -> float:
    """How unevenly the places of the lists fall to all items: 0 evenly, near 1 to very few.

    Parameters
    ----------
    lists : ndarray of shape (n_profiles, k), dtype int32, padded with -1
    n_items : int
        Items that are never shown count with 0 places.
    """
    shown = np.sort(np.bincount(lists[lists >= 0], minlength=n_items)).astype(np.float64)
    total = shown.sum()
    if not total:
        return 0.0
    ranks = np.arange(1, n_items + 1)
    return float((2 * (ranks * shown).sum() / total - (n_items + 1)) / n_items)


def diversity(lists: Int32s, met: csr_matrix) -> float:
    """How different the items of one list are: 1 minus the mean cosine of its pairs.

    Parameters
    ----------
    lists : ndarray of shape (n_profiles, k), dtype int32, padded with -1
    met : csr_matrix of shape (n_profiles_of_training, n_items)
        Two items are alike as far as the same profiles met them.

    Returns
    -------
    float
        Averaged over the lists of two items and more; 0 when there is none.
    """
    length = np.sqrt(np.asarray(met.multiply(met).sum(axis=0)).ravel())
    inverse = np.divide(1.0, length, out=np.zeros(length.size), where=length > 0)
    even = (met @ diags_array(inverse)).T.tocsr()
    row, place = np.nonzero(lists >= 0)
    ones = np.ones(row.size)
    chosen = csr_matrix((ones, (row, lists[row, place])), shape=(len(lists), met.shape[1]))
    total = chosen @ even  # the sum of a list's items; its square holds every pair twice
    squares = np.asarray(total.multiply(total).sum(axis=1)).ravel()
    own = chosen @ (length > 0).astype(np.float64)
    size = np.asarray(chosen.sum(axis=1)).ravel()
    several = size > 1
    if not several.any():
        return 0.0
    pairs = size[several] * (size[several] - 1)
    return float((1 - (squares[several] - own[several]) / pairs).mean())
