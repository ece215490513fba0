"""What a catalog says of its products, as words: what finds a product before anybody met it."""

import re
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from catalog.models import Product
from recommendations.algorithms.words import WordIndex, hash_word, index_words

WORD: Final = re.compile(r"[^\W\d_]{2,}")
LONGEST_LABEL: Final = 40  # characters; a longer text is read word by word
MOST_WORDS: Final = 100  # of one product
AT_ONCE: Final = 2_000  # rows


def words_of(name: str, category: str, extra: Mapping[str, Any]) -> list[str]:
    """The words of the name, the category whole and in words, and the texts of own columns.

    A short text of an own column is a label, "color red"; a number or a date says nothing here.
    """
    words = WORD.findall(name.lower())
    if category:
        words.append(f"category {category.lower()}")
        words += WORD.findall(category.lower())
    for column, value in sorted(extra.items()):
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and len(text) <= LONGEST_LABEL:
                words.append(f"{column} {text.lower()}")
            elif isinstance(text, str):
                words += WORD.findall(text.lower())
    return list(dict.fromkeys(words))[:MOST_WORDS]


def read_index(catalog: str, item_ids: list[str]) -> WordIndex:
    """The descriptions of these products; those that went meanwhile have none."""
    known: dict[str, int] = {}
    place = {item_id: number for number, item_id in enumerate(item_ids)}
    found: dict[int, array[int]] = {}
    for item_id, words in list_words(catalog):
        number = place.get(item_id)
        if number is not None:
            for word in words:
                if word not in known:
                    known[word] = hash_word(word)
            found[number] = array("Q", (known[word] for word in words))
    counts = np.array([len(found.get(n, ())) for n in range(len(item_ids))], np.int64)
    flat = array("Q")
    for number in sorted(found):
        flat.extend(found[number])
    return index_words(np.array(flat, np.uint64), counts)


def list_words(catalog: str) -> Iterator[tuple[str, list[str]]]:
    rows = Product.objects.filter(catalog__name=catalog, deleted_at=None).values_list(
        "item_id", "name", "category", "extra"
    )
    for item_id, name, category, extra in rows.iterator(chunk_size=AT_ONCE):
        yield item_id, words_of(name, category, extra)


def hashes_of(name: str, category: str, extra: Mapping[str, Any]) -> NDArray[np.uint64]:
    """The words of one product, as an index knows them."""
    words = words_of(name, category, extra)
    return np.fromiter((hash_word(word) for word in words), np.uint64, len(words))
