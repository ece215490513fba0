"""Users and items of two or three files as numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommendations.offline.files import Table

UNKNOWN_USERS = "questions of unknown users"
UNKNOWN_ITEMS = "questions for items unseen in training"


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Numbers count the names in their order, so that ties by number are ties by id.

    Users are those of the training file. Items are those of any file: an item that was never met
    in training can be asked for, and is part of what a coverage is a share of.
    """

    users: Mapping[str, int]
    items: Mapping[str, int]
    met: frozenset[str]  # items of the training file

    @classmethod
    def of(cls, train: Table, test: Table, items: Table | None) -> "Names":
        met = frozenset(train["item"])
        every = met.union(test["item"], items["item"] if items is not None else ())
        return cls(_numbers(set(train["user"])), _numbers(every), met)

    def users_of(self, table: Table) -> NDArray[np.int64]:
        """-1 for a user the training file does not have."""
        return _look_up(table["user"], self.users)

    def items_of(self, table: Table) -> NDArray[np.int32]:
        return _look_up(table["item"], self.items).astype(np.int32)

    def questions(
        self, test: Table
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], dict[str, int]]:
        """Whom the test asks for which item, and what was left out or cannot be found."""
        users, items = self.users_of(test), self.items_of(test)
        known = users >= 0
        counts = {
            UNKNOWN_USERS: int((~known).sum()),
            UNKNOWN_ITEMS: sum(item not in self.met for item in test["item"]),
        }
        return users[known], items[known], counts


def _numbers(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(names))}


def _look_up(cells: Iterable[str], numbers: Mapping[str, int]) -> NDArray[np.int64]:
    return np.array([numbers.get(cell, -1) for cell in cells], np.int64)
