"""Products described like a given one: known of a product from the moment it is uploaded."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from catalog.models import Product
from recommendations import descriptions
from recommendations.algorithms.words import match_words, words_of_item
from recommendations.artifact import Artifact

if TYPE_CHECKING:
    from recommendations.shelf import Shelf

DEEPEST: Final = 200  # products alike, before those that one person may not see are left out
KEPT: Final = 1_000  # newcomers whose words are remembered, per catalog and process

Hashes = NDArray[np.uint64]
Order = tuple[NDArray[np.int32], NDArray[np.float64]]  # rows, best first, and their scores


class Descriptions:
    """The words of an artifact's items, and of products that came after it.

    Newcomers are read from the catalog's table when they are asked about.
    """

    def __init__(self, catalog: str, model: Artifact) -> None:
        self.catalog = catalog
        self.index = model.words
        self.newcomers: dict[str, Hashes] = {}

    def meet(self, numbers: Mapping[str, int]) -> None:
        """Read the words of those products that the artifact does not have, all in one query."""
        missing = [
            item_id
            for item_id, number in numbers.items()
            if not self.knows(number) and item_id not in self.newcomers
        ]
        if not missing:
            return
        if len(self.newcomers) > KEPT:
            self.newcomers.clear()
        self.newcomers |= find_words(self.catalog, missing)

    def knows(self, number: int) -> bool:
        """Whether the artifact has it as it was built; later ones have a number behind, or -1."""
        return 0 <= number < self.index.lengths.size

    def words_of(self, number: int, item_id: str) -> Hashes:
        """Of an item of the artifact, or of a newcomer that was met."""
        if self.knows(number):
            return words_of_item(self.index, number)
        return self.newcomers.get(item_id, np.zeros(0, np.uint64))


def find_alike(here: "Shelf", row: int, *, allowed: NDArray[np.bool_]) -> Order:
    """What is described like a product, best first; itself left out.

    Parameters
    ----------
    row : of the snapshot
    allowed : ndarray of shape (n_items,), dtype bool
        What may be shown, by number of the artifact.
    """
    if here.descriptions is None:
        return np.zeros(0, np.int32), np.zeros(0)
    number = here.numbers[row]
    words = here.descriptions.words_of(number, here.products.ids[row])
    numbers, scores = match_words(here.descriptions.index, words, allowed=allowed)
    others = numbers != number
    rows: NDArray[np.int32] = here.row_of[numbers[others][:DEEPEST]]
    return rows, scores[others][:DEEPEST].astype(np.float64)


def find_words(catalog: str, item_ids: Collection[str]) -> Mapping[str, Hashes]:
    """The hashes of each product's words; none of a product that there is not."""
    rows = Product.objects.filter(
        catalog__name=catalog, item_id__in=list(item_ids), deleted_at=None
    ).values_list("item_id", "name", "category", "extra")
    found = dict.fromkeys(item_ids, np.zeros(0, np.uint64))
    for item_id, *told in rows:
        found[item_id] = descriptions.hashes_of(*told)
    return found
