"""Items described alike: an index from words to items, and the best matches of one description.

The only source that knows a product nobody has met. Words are kept as hashes of 64 bits, so an
index is a handful of arrays whatever the language.

Source: Salton & Buckley (1988), "Term-weighting approaches in automatic text retrieval".
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_ITEMS: Final = 2_000  # with a word; a word that more have tells nothing and costs much

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class WordIndex:
    """Which items have which word, in TF-IDF weights.

    Attributes
    ----------
    hashes : ndarray of shape (n_words,), dtype uint64, ascending
    starts : ndarray of shape (n_words + 1,), dtype int64
        Word `w` stands in the items ``items[starts[w]:starts[w + 1]]``.
    items : ndarray of shape (n_pairs,), dtype int32, ascending for each word
    worth : ndarray of shape (n_words,), dtype float32
        ``(log((1 + n) / (1 + d)) + 1)**2`` for a word that `d` of `n` described items have.
    lengths : ndarray of shape (n_items,), dtype float32
        The root of the sum of the worths of an item's words; 0 without any.
    item_starts : ndarray of shape (n_items + 1,), dtype int64
        The other way round: item `i` has ``words[item_starts[i]:item_starts[i + 1]]``.
    words : ndarray of shape (n_pairs,), dtype int32
        Numbers of words, ascending for each item.
    """

    hashes: Hashes
    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    worth: NDArray[np.float32]
    lengths: NDArray[np.float32]
    item_starts: NDArray[np.int64]
    words: NDArray[np.int32]


def hash_word(word: str) -> int:
    """The same on every machine and in every process."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def index_words(words: Hashes, counts: NDArray[Any], *, most_items: int = MOST_ITEMS) -> WordIndex:
    """Index the descriptions of a catalog.

    Parameters
    ----------
    words : ndarray of shape (n_pairs,), dtype uint64
        The hashes of the words of all items, item by item.
    counts : integer ndarray of shape (n_items,)
        How many words each item has; a word that comes twice counts once.
    most_items : int
        Words that more items have are left out.

    Returns
    -------
    WordIndex
    """
    n_items = counts.size
    hashes, word = np.unique(words, return_inverse=True)
    item = np.repeat(np.arange(n_items), counts)
    pair = np.unique(word.astype(np.int64) * max(n_items, 1) + item)
    word, item = np.divmod(pair, max(n_items, 1))
    met = np.bincount(word, minlength=hashes.size)
    telling = met <= most_items
    described = int((counts > 0).sum())
    rarity = np.log((1 + described) / (1 + met)) + 1
    worth = np.where(telling, rarity**2, 0)
    lengths = np.sqrt(np.bincount(item, weights=worth[word], minlength=n_items))
    kept = telling[word]
    word, item = (np.cumsum(telling) - 1)[word[kept]], item[kept]
    starts = np.append(0, np.cumsum(met[telling]))
    return WordIndex(
        hashes[telling],
        starts.astype(np.int64),
        item.astype(np.int32),
        worth[telling].astype(np.float32),
        lengths.astype(np.float32),
        np.append(0, np.cumsum(np.bincount(item, minlength=n_items))).astype(np.int64),
        word[np.argsort(item, kind="stable")].astype(np.int32),
    )


def words_of_item(index: WordIndex, item: int) -> Hashes:
    """The words of an item that the index kept."""
    return index.hashes[index.words[index.item_starts[item] : index.item_starts[item + 1]]]


def match_words(
    index: WordIndex, words: Hashes, *, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The items that share a word with a description, the most alike first.

    Parameters
    ----------
    index : WordIndex
    words : ndarray of shape (n,), dtype uint64
        Of the description; unknown ones count for nothing.
    allowed : ndarray of shape (n_items,), dtype bool

    Returns
    -------
    items : ndarray of shape (n_found,), dtype int32
        Ties go to the smaller number.
    scores : ndarray of shape (n_found,), dtype float32
        The cosine of both descriptions, above 0 and at most 1.
    """
    words = np.unique(words)
    place = np.searchsorted(index.hashes, words)
    inside = place < index.hashes.size
    place = place[inside][index.hashes[place[inside]] == words[inside]]
    if not place.size:
        return np.zeros(0, np.int32), np.zeros(0, np.float32)
    parts = [index.items[index.starts[w] : index.starts[w + 1]] for w in place]
    worth = index.worth[place].astype(np.float64)
    every = np.concatenate(parts)
    found, where = np.unique(every, return_inverse=True)
    sums = np.bincount(where, weights=np.repeat(worth, [part.size for part in parts]))
    kept = allowed[found]
    found, sums = found[kept], sums[kept]
    scores = (sums / (index.lengths[found] * np.sqrt(worth.sum()))).astype(np.float32)
    order = np.lexsort((found, -scores))
    return found[order], scores[order]
