"""The tree of a filter, what each operator may be asked of, and the tree in words."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

ORDERED: Final = ("<", "<=", ">", ">=")
BARE: Final = ("is missing", "is present")
OPS: Final = ("=", "!=", *ORDERED, "in", "not in", "contains", *BARE)
OPS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("=", "!=", "in", "not in", "contains", *BARE),
    "number": ("=", "!=", *ORDERED, "in", "not in", *BARE),
    "time": ("=", "!=", *ORDERED, "in", "not in", *BARE),
    "boolean": ("=", "!=", *BARE),
    "list": ("contains", *BARE),
}
POSITIVE: Final = {"!=": "=", "not in": "in"}
EXPECTED: Final = {
    "text": "a text",
    "number": "a number",
    "time": "a time such as 2026-11-02T12:00:00Z",
    "boolean": "true or false",
    "list": "a text",
}


@dataclass(frozen=True, slots=True)
class FromContext:
    """A value that is known only when the filter is asked, such as the trigger's category."""

    path: str
    times: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    column: str
    op: str
    value: Any = None  # a scalar, a tuple of them, FromContext, or None for bare operators
    path: str = ""  # where it stands in the JSON


@dataclass(frozen=True, slots=True)
class Not:
    node: "Node"


@dataclass(frozen=True, slots=True)
class AllOf:
    nodes: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    nodes: tuple["Node", ...] = ()


Node = Condition | Not | AllOf | AnyOf


def walk(node: Node) -> Iterator[Condition]:
    """Every condition of a tree."""
    match node:
        case Condition():
            yield node
        case Not():
            yield from walk(node.node)
        case AllOf() | AnyOf():
            for child in node.nodes:
                yield from walk(child)


def only_sold_out(node: Node) -> bool:
    """Whether the tree says itself that everything it lets through must be out of stock."""
    match node:
        case Condition(column="in_stock", op="=", value=value):
            return value is False
        case Condition(column="in_stock", op="!=", value=value):
            return value is True
        case AllOf():
            return any(only_sold_out(child) for child in node.nodes)
        case AnyOf():
            return bool(node.nodes) and all(only_sold_out(child) for child in node.nodes)
    return False


def is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 10**300  # a float's room; NaN is less than nothing
        and math.isfinite(value)
    )


WORDS: Final = {
    "=": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
    "in": "is one of",
    "not in": "is none of",
    "contains": "contains",
    "is missing": "is missing",
    "is present": "is present",
}


def describe(node: Node) -> str:
    match node:
        case Condition():
            return f"{node.column} {WORDS[node.op]} {_in_words(node.value)}".rstrip()
        case Not():
            return f"not ({describe(node.node)})"
        case AllOf():
            return _listed(node.nodes, "and") if node.nodes else "every product"
        case AnyOf():
            return _listed(node.nodes, "or") if node.nodes else "no product"


def _listed(nodes: tuple[Node, ...], word: str) -> str:
    parts = [
        f"({describe(child)})"
        if isinstance(child, AllOf | AnyOf) and len(child.nodes) > 1 and len(nodes) > 1
        else describe(child)
        for child in nodes
    ]
    return f" {word} ".join(parts)


def _in_words(value: object) -> str:
    match value:
        case None:
            return ""
        case FromContext(path=path, times=None):
            return f"the {path.replace('.', ' ')}"
        case FromContext(path=path, times=times):
            return f"{times:g} × the {path.replace('.', ' ')}"
        case tuple():
            return ", ".join(map(_in_words, value))
        case bool():
            return "true" if value else "false"
        case str():
            return f"“{value}”"
    return f"{value}"
