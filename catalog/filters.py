"""Filters over a catalog's columns: JSON in, a mask over all products out.

    {"all": [filter, …]}   {"any": [filter, …]}   {"not": filter}   {} lets everything through
    {"column": "price", "op": "<=", "value": 20}
    {"column": "category", "op": "=", "value": {"context": "trigger.category"}}
    {"column": "price", "op": "<=", "value": {"context": "trigger.price", "times": 1.2}}

A product without a value in a column fits no condition on it but "is missing", "!=" and "not in".
A filter that does not fit the catalog any more, or whose context has no value, lets nothing
through: better an empty slot than a product somebody wanted kept out.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from catalog.arrays import NO_TIME, Column, Mask, time_millis
from catalog.columns import COMMON
from catalog.errors import InvalidFilter, Problem
from catalog.filter_nodes import (
    BARE,
    EXPECTED,
    OPS_OF,
    POSITIVE,
    AllOf,
    AnyOf,
    Condition,
    FromContext,
    Node,
    Not,
    describe,
    is_number,
    only_sold_out,
    walk,
)
from catalog.filter_reader import Reader
from catalog.snapshot import Snapshot

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was read without fault. Two that ask the same are equal."""

    root: Node = field(compare=False)
    # To Python 1, 1.0 and True are equal; to a column they are not.
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", repr(self.root))

    @property
    def columns(self) -> frozenset[str]:
        """The columns it looks at."""
        return frozenset(condition.column for condition in walk(self.root))

    @property
    def only_sold_out(self) -> bool:
        """It asks for products out of stock and for no others."""
        return only_sold_out(self.root)

    @property
    def references(self) -> frozenset[str]:
        """The paths it takes values from, such as "trigger.price"; none: it asks all the same."""
        values = (condition.value for condition in walk(self.root))
        return frozenset(value.path for value in values if isinstance(value, FromContext))

    def resolve(self, context: Mapping[str, Any]) -> "Filter":
        """The filter with values in the place of references.

        Where the context lacks one it lets nothing through.
        """
        node = _resolve(self.root, context)
        return Filter(AnyOf() if node is None else node)

    def list_misfits(self, types: Mapping[str, str]) -> list[Problem]:
        """What does not fit these columns (`snapshot.types`)."""
        return _list_misfits(self.root, types)

    def check(self, types: Mapping[str, str]) -> None:
        """Raise `InvalidFilter` where it does not fit these columns."""
        problems = self.list_misfits(types)
        if problems:
            raise InvalidFilter(problems)

    def mask(self, snapshot: Snapshot, *, context: Mapping[str, Any] | None = None) -> Mask:
        """Which products it lets through: bool, one per row of the snapshot."""
        node = _resolve(self.root, context or {})
        if node is None:
            return np.zeros(len(snapshot), dtype=bool)
        misfits = _list_misfits(node, snapshot.types)
        if misfits:
            facts = {"catalog": snapshot.name, "problem": str(misfits[0])}
            logger.warning("filter does not fit the catalog", extra=facts)
            return np.zeros(len(snapshot), dtype=bool)
        return _mask(node, snapshot)

    def describe(self) -> str:
        """The filter as a sentence without its full stop."""
        return describe(self.root)


def parse(data: object, *, types: Mapping[str, str] | None = None) -> Filter:
    """Read a filter.

    Parameters
    ----------
    data : a mapping as in the head of this module
    types : column → type, such as `snapshot.types`; without it own columns are not checked

    Raises
    ------
    InvalidFilter
        With the path of every bad node.
    """
    reader = Reader()
    root = reader.node(data, path="filter", depth=0)
    problems = reader.problems
    if not problems:
        known = types if types is not None else COMMON
        problems = _list_misfits(root, known, unknown_may_be=types is None)
    if problems:
        raise InvalidFilter(problems)
    return Filter(root)


def _list_misfits(
    node: Node, types: Mapping[str, str], *, unknown_may_be: bool = False
) -> list[Problem]:
    """Conditions that ask of a column what its type does not have."""
    problems = []
    for condition in walk(node):
        kind = types.get(condition.column)
        if kind is None:
            if not unknown_may_be:
                named = f"the catalog has no column {condition.column[:60]!r}"
                problems.append(Problem(f"{condition.path}.column", named))
        elif condition.op not in OPS_OF[kind]:
            usable = ", ".join(OPS_OF[kind])
            about = f"column {condition.column} is a {kind} and takes: {usable}"
            problems.append(Problem(f"{condition.path}.op", about))
        elif not _suits(condition, kind):
            plural = "a list, each " if condition.op in {"in", "not in"} else ""
            about = f"expected {plural}{EXPECTED[kind]} for column {condition.column}"
            problems.append(Problem(f"{condition.path}.value", about))
    return problems


def _suits(condition: Condition, kind: str) -> bool:
    if condition.op in BARE or isinstance(condition.value, FromContext):
        return True
    is_list = isinstance(condition.value, tuple)
    if is_list != (condition.op in {"in", "not in"}):
        return False
    values = condition.value if is_list else (condition.value,)
    return all(_is_kind(value, kind) for value in values)


def _is_kind(value: object, kind: str) -> bool:
    match kind:
        case "number":
            return is_number(value)
        case "boolean":
            return isinstance(value, bool)
        case "time":
            return time_millis(value) != NO_TIME
    return isinstance(value, str)


def _resolve(node: Node, context: Mapping[str, Any]) -> Node | None:
    """The tree with values instead of references; None when the context lacks one."""
    match node:
        case Condition(value=FromContext() as reference):
            value = _look_up(reference, context)
            if value is None:
                return None
            return Condition(node.column, node.op, value, node.path)
        case Not():
            inner = _resolve(node.node, context)
            return inner and Not(inner)
        case AllOf() | AnyOf():
            nodes = [_resolve(child, context) for child in node.nodes]
            present = tuple(child for child in nodes if child is not None)
            return type(node)(present) if len(present) == len(nodes) else None
    return node


def _look_up(reference: FromContext, context: Mapping[str, Any]) -> Any:
    value: Any = context
    for part in reference.path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if reference.times is not None:
        return value * reference.times if is_number(value) else None
    return tuple(value) if isinstance(value, list | set) else value


def _mask(node: Node, snapshot: Snapshot) -> Mask:
    match node:
        case Condition():
            return _condition_mask(node, snapshot.column(node.column))
        case Not():
            return ~_mask(node.node, snapshot)
        case AllOf():
            return _joined(np.logical_and, node.nodes, snapshot, start=True)
        case AnyOf():
            return _joined(np.logical_or, node.nodes, snapshot, start=False)


def _joined(
    join: Callable[..., Mask], nodes: tuple[Node, ...], snapshot: Snapshot, *, start: bool
) -> Mask:
    mask = np.full(len(snapshot), start, dtype=bool)
    for node in nodes:
        join(mask, _mask(node, snapshot), out=mask)
    return mask


def _condition_mask(condition: Condition, column: Column) -> Mask:
    op, value = condition.op, condition.value
    if op == "is missing":
        return column.missing
    if op == "is present":
        return ~column.missing
    if column.kind == "time":
        is_list = isinstance(value, tuple)
        value = tuple(map(time_millis, value)) if is_list else time_millis(value)
    if op in POSITIVE:
        return ~column.matches(POSITIVE[op], value)
    return column.matches(op, value)
