"""Collects the statements of a compiled template, and counts what they write."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from campaigns.liquid import grammar, limits

MAX_PARTS: Final = 16  # texts joined at once: between two looks at the output's length


@dataclass(slots=True)
class Output:
    """Where text goes: the message, or what a `capture` collects."""

    number: int
    muted: bool = False  # in a block of nothing but blanks
    pending: list[ast.expr] = field(default_factory=list)

    @property
    def parts(self) -> str:
        return f"parts{self.number}"

    @property
    def size(self) -> str:
        return f"size{self.number}"

    @property
    def limit(self) -> str:
        return f"limit{self.number}"


class Writer:
    """The statements of the function as they come, and where their text goes."""

    def __init__(self) -> None:
        self.statements: list[ast.stmt] = []
        self.output = Output(0)
        self.counted = 0

    def add(self, statement: ast.stmt) -> None:
        self.flush()
        self.statements.append(statement)

    def number(self) -> int:
        self.counted += 1
        return self.counted

    @contextmanager
    def nested(self) -> Iterator[list[ast.stmt]]:
        """Statements that become the body of another."""
        self.flush()
        outer, self.statements = self.statements, []
        try:
            yield self.statements
            self.flush()
        finally:
            self.statements = outer

    @contextmanager
    def writing(self, output: Output) -> Iterator[list[ast.stmt]]:
        """Statements that write somewhere of their own."""
        outer = self.output
        limit: ast.expr = grammar.constant(limits.MAX_OUTPUT_BYTES)
        if output.number and not outer.muted:
            limit = grammar.arithmetic(
                grammar.name(outer.limit), ast.Sub(), grammar.name(outer.size)
            )
            # The library grants a capture what the output around it has left.
        with self.nested() as statements:
            self.output = output
            statements += [
                grammar.assign(output.parts, ast.List([], grammar.LOAD)),
                grammar.assign(output.size, grammar.constant(0)),
                grammar.assign(output.limit, limit),
            ]
            yield statements
            self.flush()
            self.output = outer

    def whole(self, number: int) -> ast.expr:
        return ast.Call(
            ast.Attribute(grammar.constant(""), "join", grammar.LOAD),
            [grammar.name(f"parts{number}")],
            [],
        )

    def write(self, value: ast.expr) -> None:
        if not self.output.muted:
            self.output.pending.append(value)
            if len(self.output.pending) >= MAX_PARTS:
                self.flush()

    def flush(self) -> None:
        """Join what is to be written, and count its bytes against the limit."""
        output = self.output
        if not output.pending:
            return
        text = grammar.name("text")
        grown = grammar.choose(
            grammar.method("text", "isascii"),
            grammar.call("len", text),
            grammar.call("width", text),
        )
        over = grammar.compare(grammar.name(output.size), ast.Gt(), grammar.name(output.limit))
        self.statements += [
            grammar.assign("text", grammar.joined(output.pending)),
            grammar.add_to(output.size, grown),
            grammar.when(over, [grammar.do(grammar.call("overflow"))]),
            grammar.do(grammar.method(output.parts, "append", text)),
        ]
        output.pending = []
