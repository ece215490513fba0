"""Reads a filter from JSON; every bad node is named with its path."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from catalog.errors import Problem
from catalog.filter_nodes import (
    BARE,
    OPS,
    AllOf,
    AnyOf,
    Condition,
    FromContext,
    Node,
    Not,
    is_number,
)
from catalog.values import printable

MAX_DEPTH: Final = 10
MAX_NODES: Final = 200
MAX_CHOICES: Final = 1_000
MAX_TEXT: Final = 1_000


@dataclass(slots=True)
class Reader:
    """Reads nodes and collects what is wrong with them."""

    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def bad(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def node(self, data: object, *, path: str, depth: int) -> Node:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            self.too_large(path, depth=depth)
            return AllOf()
        if not isinstance(data, Mapping):
            self.bad(path, "expected an object such as {'column': …, 'op': …, 'value': …}")
            return AllOf()
        if not data:
            return AllOf()
        kinds = [kind for kind in ("all", "any", "not", "column") if kind in data]
        if len(kinds) != 1:
            self.bad(path, "expected exactly one of: all, any, not, column")
            return AllOf()
        return self.kind(kinds[0], data, path=path, depth=depth)

    def too_large(self, path: str, *, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.bad(path, f"is nested deeper than {MAX_DEPTH}")
        elif self.nodes == MAX_NODES + 1:
            self.bad(path, f"is one of more than {MAX_NODES} conditions")

    def kind(self, kind: str, data: Mapping[str, Any], *, path: str, depth: int) -> Node:
        if kind == "column":
            return self.condition(data, path=path)
        self.no_others(data, {kind}, path=path)
        if kind == "not":
            return Not(self.node(data["not"], path=f"{path}.not", depth=depth + 1))
        children = data[kind]
        if not isinstance(children, list):
            self.bad(f"{path}.{kind}", "expected a list of filters")
            return AllOf()
        nodes = tuple(
            self.node(child, path=f"{path}.{kind}[{number}]", depth=depth + 1)
            for number, child in enumerate(children[: MAX_NODES + 1])
        )
        return AllOf(nodes) if kind == "all" else AnyOf(nodes)

    def no_others(self, data: Mapping[str, Any], allowed: set[str], *, path: str) -> None:
        for name in data:
            if name not in allowed:
                self.bad(f"{path}.{printable(str(name), longest=60)}", "is not known here")

    def condition(self, data: Mapping[str, Any], *, path: str) -> Condition:
        self.no_others(data, {"column", "op", "value"}, path=path)
        column, op = data["column"], data.get("op")
        if not isinstance(column, str) or not 0 < len(column) <= MAX_TEXT:
            self.bad(f"{path}.column", "expected the name of a column")
            column = ""
        if not isinstance(op, str) or op not in OPS:
            self.bad(f"{path}.op", f"expected one of: {', '.join(OPS)}")
            return Condition(column, "is missing", path=path)
        if op in BARE:
            if data.get("value") is not None:
                self.bad(f"{path}.value", f"has no place beside “{op}”")
            return Condition(column, op, path=path)
        return Condition(column, op, self.value(data, op, path=f"{path}.value"), path)

    def value(self, data: Mapping[str, Any], op: str, *, path: str) -> Any:
        if data.get("value") is None:
            self.bad(path, "is missing")
            return None
        value = data["value"]
        if isinstance(value, Mapping):
            return self.context(value, path=path)
        if op in {"in", "not in"}:
            if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHOICES:
                self.bad(path, f"expected a list of 1 to {MAX_CHOICES} values")
                return ()
            return tuple(self.scalar(v, path=f"{path}[{n}]") for n, v in enumerate(value))
        if op == "contains" and value == "":
            self.bad(path, "is empty")
        return self.scalar(value, path=path)

    def context(self, value: Mapping[str, Any], *, path: str) -> FromContext | None:
        self.no_others(value, {"context", "times"}, path=path)
        name, times = value.get("context"), value.get("times")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT:
            self.bad(f"{path}.context", "expected a path such as “trigger.category”")
            return None
        if times is not None and not is_number(times):
            self.bad(f"{path}.times", "expected a number")
            return None
        return FromContext(name, times)

    def scalar(self, value: object, *, path: str) -> Any:
        if isinstance(value, bool) or is_number(value):
            return value
        if not isinstance(value, str):
            self.bad(path, "expected a text, a number, true or false")
        elif len(value) > MAX_TEXT:
            self.bad(path, f"is longer than {MAX_TEXT} characters")
        elif "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            self.bad(path, "has characters that no product can have")
        return value
