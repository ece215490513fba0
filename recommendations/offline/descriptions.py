"""What the items file says of each product, as words."""

import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from recommendations.offline.files import Table, numbered

WORDS = ("title", "name", "category", "brand", "genres")
TOKENS = ("attributes",)  # ids: taken whole
WORD = re.compile(r"[^\W\d_]{2,}")


def words_of(items: Table | None, names: Sequence[str]) -> csr_matrix | None:
    """Which product has which word; None where no file describes any.

    Parameters
    ----------
    items : Table, optional
        With item and some of title, name, category, brand, genres, attributes.
    names : sequence of str
        The products in the order of their numbers; what the file does not describe has no words.

    Returns
    -------
    csr_matrix of shape (n_items, n_words), dtype bool, or None
    """
    if items is None or not any(column in items for column in WORDS + TOKENS):
        return None
    number = {name: place for place, name in enumerate(names)}
    rows: list[int] = []
    words: list[str] = []
    for line, name in enumerate(items["item"]):
        found = words_in(items, line) if name in number else []
        rows += [number[name]] * len(found) if found else []
        words += found
    columns, known = numbered(words)
    shape = (len(names), len(known))
    found = csr_matrix((np.ones(len(rows), np.bool_), (rows, columns)), shape=shape)
    found.sum_duplicates()
    return found


def words_in(items: Table, line: int) -> list[str]:
    words = [
        word
        for column in WORDS
        if column in items
        for word in WORD.findall(items[column][line].lower())
    ]
    tokens = [
        f"{column} {token}"
        for column in TOKENS
        if column in items
        for token in items[column][line].split()
    ]
    return words + tokens
