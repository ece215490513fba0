"""The files of a shop: who did what with which product, when, in which order."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engage.lib.errors import InvalidInput
from recommendations.algorithms.log import Log, make_log
from recommendations.offline.files import Table, numbered

PURCHASE = "purchase"
RETURN = "return"
PURCHASED = 5
WEIGHTS = {"view": 1, "favourite": 2, "cart": 3, PURCHASE: PURCHASED}  # any other kind says 1
GUEST = ""

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Rows of a file in their order.

    Attributes
    ----------
    profile : ndarray of shape (n_events,), dtype int64
        Users first, then one profile per guest order; -1 for whom the training file does not know.
    item : ndarray of shape (n_events,), dtype int64
    weight : ndarray of shape (n_events,), dtype int64
    ts_ms : ndarray of shape (n_events,), dtype int64, unit: milliseconds since 1970
    """

    profile: Ints
    item: Ints
    weight: Ints
    ts_ms: Ints

    def __len__(self) -> int:
        return self.item.size

    def take(self, chosen: NDArray[Any]) -> Self:
        return type(self)(
            self.profile[chosen], self.item[chosen], self.weight[chosen], self.ts_ms[chosen]
        )

    def __add__(self, other: Self) -> Self:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return type(self)(*(np.concatenate(pair) for pair in pairs))

    def of(self, known: Mask) -> Self:
        """Those of the users that `known` marks; shape (n_users,)."""
        is_user = (self.profile >= 0) & (self.profile < known.size)
        return self.take(is_user & np.append(known, False)[np.where(is_user, self.profile, -1)])

    @property
    def bought(self) -> Mask:
        return self.weight >= PURCHASED

    def log(self, *, n_profiles: int, n_items: int) -> Log:
        return make_log(
            self.profile,
            self.item,
            weight=self.weight,
            ts_ms=self.ts_ms,
            n_items=n_items,
            n_profiles=n_profiles,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Shop:
    """A training and a test file with the same numbers for the same names.

    Attributes
    ----------
    train, test : Events
        Without returns. In `test`, guests and users that the training file does not know are -1;
        products that it does not know have a number: they are targets that will be missed.
    users : list of str
        Those of the training file.
    n_profiles : int
        Users and guest orders.
    items : list of str
        Of the training file, the test file and the items file.
    unknown_items : int
        So many of them only the test file names.
    unknown_users : int
        Users that only the test file names.
    returns : int
        Rows of both files that take a purchase back.
    guest_rows : int
        Rows of the test file without a user.
    """

    train: Events
    test: Events
    users: list[str]
    n_profiles: int
    items: list[str]
    unknown_items: int
    unknown_users: int
    returns: int
    guest_rows: int


def read_shop(train: Table, test: Table, *, items: Table | None) -> Shop:
    """Number what the files name.

    Raises
    ------
    InvalidInput
        A time is neither ISO 8601 nor unix seconds.
    """
    kept, tested = is_kept(train), is_kept(test)
    described = [] if items is None else items["item"]
    number, names = numbered([*train["item"], *described, *test["item"]])
    n_known = len(train) + len(described)
    profile, users, n_profiles = profiles_of(train, kept)
    of_user = {name: place for place, name in enumerate(users)}
    asked = np.array([of_user.get(cell, -1) for cell in test["user"]], np.int64)
    strangers = {cell for cell, known in zip(test["user"], asked >= 0, strict=True) if not known}
    learned = events_of(train, profile, number[: len(train)])
    return Shop(
        train=learned.take(kept & (profile >= 0)),
        test=events_of(test, asked, number[n_known:]).take(tested),
        users=users,
        n_profiles=n_profiles,
        items=names,
        unknown_items=len(names) - np.unique(number[:n_known]).size,
        unknown_users=len(strangers - {GUEST}),
        returns=int((~kept).sum() + (~tested).sum()),
        guest_rows=sum(cell == GUEST for cell in test["user"]),
    )


def is_kept(table: Table) -> Mask:
    return np.array([kind != RETURN for kind in kinds_of(table)], bool)


def kinds_of(table: Table) -> Sequence[str]:
    """The kind of each event; a file without that column holds purchases."""
    return table["event"] if "event" in table else [PURCHASE] * len(table)


def events_of(table: Table, profile: Ints, item: Ints) -> Events:
    weight = np.array([WEIGHTS.get(kind, 1) for kind in kinds_of(table)], np.int64)
    return Events(profile, item, weight, times_ms(table))


def profiles_of(table: Table, kept: Mask) -> tuple[Ints, list[str], int]:
    """Users by name, then guests by order; who only returned things is no user."""
    cells = table["user"]
    users = sorted({cell for cell, keep in zip(cells, kept, strict=True) if keep} - {GUEST})
    orders = table["order"] if "order" in table else [""] * len(table)
    by_guests = {order for cell, order in zip(cells, orders, strict=True) if cell == GUEST}
    guests = sorted(by_guests - {""})
    of_user = {name: place for place, name in enumerate(users)}
    of_guest = {order: len(users) + place for place, order in enumerate(guests)}
    profile = [
        of_user.get(cell, -1) if cell else of_guest.get(order, -1)
        for cell, order in zip(cells, orders, strict=True)
    ]
    return np.array(profile, np.int64), users, len(users) + len(guests)


def times_ms(table: Table) -> Ints:
    """ISO 8601, with or without seconds and zone, or unix seconds. No zone is UTC."""
    cells = table["ts"]
    try:
        seconds = np.array(cells, np.float64)
    except ValueError:
        seconds = np.full(1, np.nan)
    if np.isfinite(seconds).all():
        return np.round(seconds * 1_000).astype(np.int64)
    times = [_time_ms(table, line, cell) for line, cell in enumerate(cells, 2)]
    return np.array(times, np.int64)


def _time_ms(table: Table, line: int, cell: str) -> int:
    try:
        return round(float(cell) * 1_000)
    except (ValueError, OverflowError):  # no number, or one without an end
        pass
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise InvalidInput(
            f"{table.path}, line {line}: ts is {cell!r}, neither ISO 8601 nor unix seconds."
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
