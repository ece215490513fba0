"""Which protocol a pair of files asks for: their columns say it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from engage.lib.errors import InvalidInput
from recommendations.offline import calendar, next_item, purchase, rating, session, split
from recommendations.offline.files import Table
from recommendations.offline.task import Task

Maker = Callable[..., Task]


@dataclass(frozen=True, slots=True)
class Protocol:
    """`train` and `test` are the columns a file must have. The first protocol that fits is it."""

    train: frozenset[str]
    test: frozenset[str]
    task: Maker


def _protocol(train: str, test: str, task: Maker) -> Protocol:
    return Protocol(frozenset(train.split(",")), frozenset(test.split(",")), task)


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "session": _protocol("session,item,pos", "history,next", session.task),
    "next-item": _protocol("user,item,pos", "user,item", next_item.task),
    "calendar": _protocol("user,item,event,ts", "user,item,event,ts", calendar.task),
    "purchase": _protocol("user,item,event,ts", "user,item,ts", purchase.task),
    "rating": _protocol("user,item,rating", "user,item,rating", rating.task),
    "split": _protocol("user,item", "user,item", split.task),
}


def make_task(
    train: Table, test: Table, *, items: Table | None, repeats: bool, name: str = ""
) -> Task:
    """The task of the protocol with this name, or of the one that the columns fit.

    Raises
    ------
    InvalidInput
        No protocol fits, the named one does not, the items have no names, or a cell cannot be
        read.
    """
    if items is not None and "item" not in items:
        raise InvalidInput(
            f"{items.path} has the columns {', '.join(items.columns)}, but no item."
        )
    if name and name not in PROTOCOLS:
        raise InvalidInput(f"There is no protocol {name!r}; there are {', '.join(PROTOCOLS)}.")
    for known, protocol in PROTOCOLS.items():
        if name in {"", known} and fits(protocol, train, test):
            return protocol.task(train, test, items=items, repeats=repeats)
    raise InvalidInput(
        f"The columns {', '.join(train.columns)} of {train.path.name} and"
        f" {', '.join(test.columns)} of {test.path.name} fit no protocol"
        f"{f' {name}' if name else ''}. " + " ".join(_needs(known) for known in PROTOCOLS)
    )


def fits(protocol: Protocol, train: Table, test: Table) -> bool:
    return protocol.train <= train.columns.keys() and protocol.test <= test.columns.keys()


def _needs(name: str) -> str:
    protocol = PROTOCOLS[name]
    return f"{name}: {','.join(sorted(protocol.train))} and {','.join(sorted(protocol.test))}."
