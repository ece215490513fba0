"""Liquid's expressions as Python expressions."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from liquid.builtin.expressions import (
    BooleanExpression,
    FilteredExpression,
    Nil,
    Path,
    PositionalArgument,
    StringLiteral,
)
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.logical import (
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import (
    Blank,
    Empty,
    FalseLiteral,
    FloatLiteral,
    IntegerLiteral,
    TrueLiteral,
)
from liquid.expression import Expression
from markupsafe import Markup

from campaigns.liquid import grammar
from campaigns.liquid.environment import BoundedRange, MeteredContains

# Of the library's dynamic names: they tell the time, so nothing of them can be known before.
CLOCKS: Final = frozenset({"now", "today"})
SPECIAL: Final = frozenset({"size", "first", "last"})  # keys that also mean something else
KEYWORDS: Final = frozenset({"allow_false"})  # arguments of filters that come by name


class Unsupported(Exception):
    """Not in the closed set: the library renders this template."""


@dataclass(slots=True)
class Loop:
    """A `for` that is being compiled."""

    variable: str
    label: str  # what `forloop.name` is
    number: int
    counted: bool = False  # something in it asks for its number

    @property
    def item(self) -> str:
        return f"item{self.number}"

    @property
    def index(self) -> str:
        return f"index{self.number}"

    @property
    def length(self) -> str:
        return f"length{self.number}"

    def fact(self, word: str) -> ast.expr:
        """forloop.index and its like."""
        if word == "name":
            return grammar.constant(self.label)
        length = grammar.name(self.length)
        if word == "length":
            return length
        self.counted = True
        index, one = grammar.name(self.index), grammar.constant(1)
        left = grammar.arithmetic(length, ast.Sub(), index)
        facts: dict[str, Callable[[], ast.expr]] = {
            "index0": lambda: index,
            "index": lambda: grammar.arithmetic(index, ast.Add(), one),
            "rindex": lambda: left,
            "rindex0": lambda: grammar.arithmetic(left, ast.Sub(), one),
            "first": lambda: grammar.compare(index, ast.Eq(), grammar.constant(0)),
            "last": lambda: grammar.compare(left, ast.Eq(), one),
        }
        if word not in facts:
            raise Unsupported(f"forloop.{word}")
        return facts[word]()


@dataclass(slots=True)
class Expressions:
    """Knows the names in sight; `roots` are the outside ones, by the variable they are kept in."""

    autoescape: bool
    filters: dict[str, Any]
    own: frozenset[str]  # names the template sets itself, anywhere
    loops: list[Loop] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)
    globals: dict[str, Any] = field(default_factory=dict)

    def value(self, expression: Expression) -> ast.expr:
        made = MAKERS.get(type(expression))
        if made is None:
            raise Unsupported(type(expression).__name__)
        return made(self, expression)

    def test(self, expression: Expression) -> ast.expr:
        """As a condition: only nil, false and what is not there do not hold."""
        value = self.value(expression)
        sure = type(expression) in TESTS or isinstance(value, ast.Compare)
        return value if sure else grammar.call("truthy", value)

    def string(self, expression: StringLiteral) -> ast.expr:
        if not self.autoescape:
            return grammar.constant(expression.value)
        word = f"markup{len(self.globals)}"
        self.globals[word] = Markup(expression.value)  # noqa: S704  # the author's own text
        return grammar.name(word)

    def path(self, path: Path) -> ast.expr:
        root, *steps = path.path
        if not isinstance(root, str) or root in CLOCKS:
            raise Unsupported("a name that is known only while rendering")
        value, steps = self._start(root, steps)
        for step in steps:
            if isinstance(step, Path):
                value = grammar.call("item", value, self.path(step))
            elif step in SPECIAL or isinstance(step, int) or not isinstance(value, ast.Name):
                value = grammar.call("item", value, grammar.constant(step))
            else:
                key = grammar.constant(step)
                value = grammar.choose(
                    grammar.is_exactly(value, "dict"),
                    grammar.method(value.id, "get", key, grammar.name("UNDEFINED")),
                    grammar.call("item", value, key),
                )
        return value

    def _start(self, root: str, steps: list[Any]) -> tuple[ast.expr, list[Any]]:
        for loop in reversed(self.loops):
            if root == loop.variable == "forloop":
                raise Unsupported("an item called forloop")
            if root == loop.variable:
                return grammar.name(loop.item), steps
            if root == "forloop":
                return self._forloop(steps), []
        if root in self.own:
            found = grammar.method(
                "state", "find", grammar.name("variables"), grammar.constant(root)
            )
            return found, steps
        word = self.roots.setdefault(root, f"root{len(self.roots)}")
        return grammar.name(word), steps

    def _forloop(self, steps: list[Any]) -> ast.expr:
        depth = len(self.loops) - 1
        while len(steps) > 1 and steps[0] == "parentloop":
            depth, steps = depth - 1, steps[1:]
            if depth < 0:
                return grammar.name("UNDEFINED")
        if len(steps) != 1 or not isinstance(steps[0], str):
            raise Unsupported("forloop as a whole")
        return self.loops[depth].fact(steps[0])

    def filtered(self, expression: FilteredExpression) -> ast.expr:
        value = self.value(expression.left)
        for one in expression.filters or ():
            value = self._filter(value, one)
        return value

    def _filter(self, value: ast.expr, one: Filter) -> ast.expr:
        if one.name not in self.filters:
            raise Unsupported(one.name)
        plain = [self.value(arg.value) for arg in one.args if isinstance(arg, PositionalArgument)]
        if one.name == "default" and len(plain) == len(one.args) == 1:
            return grammar.call("default", value, plain[0])
        word = f"filter_{one.name}"
        self.globals[word] = self.filters[one.name]
        named = {}
        for arg in one.args:
            if not isinstance(arg, PositionalArgument):
                if arg.name not in KEYWORDS:
                    raise Unsupported(arg.name)
                named[arg.name] = self.value(arg.value)
        return grammar.call(word, grammar.name("state"), value, *plain, **named)

    def range(self, expression: BoundedRange) -> ast.expr:
        return grammar.call(
            "make_range", self.value(expression.start), self.value(expression.stop)
        )

    def compared(self, expression: Any) -> ast.expr:
        left, right = self.value(expression.left), self.value(expression.right)
        return COMPARISONS[type(expression)](left, right)

    def contained(self, expression: MeteredContains) -> ast.expr:
        left, right = self.value(expression.left), self.value(expression.right)
        return grammar.call("contains", grammar.name("state"), left, right)


COMPARISONS: dict[type, Callable[[ast.expr, ast.expr], ast.expr]] = {
    EqExpression: lambda left, right: grammar.call("equal", left, right),
    NeExpression: lambda left, right: grammar.negated(grammar.call("equal", left, right)),
    LtExpression: lambda left, right: grammar.call("less", left, right),
    GtExpression: lambda left, right: grammar.call("less", right, left),
    LeExpression: lambda left, right: grammar.call("at_most", left, right),
    GeExpression: lambda left, right: grammar.call("at_most", right, left),
}
MAKERS: dict[type, Callable[[Expressions, Any], ast.expr]] = {
    StringLiteral: Expressions.string,
    IntegerLiteral: lambda _, literal: grammar.constant(literal.value),
    FloatLiteral: lambda _, literal: grammar.constant(literal.value),
    TrueLiteral: lambda _, literal: grammar.constant(True),
    FalseLiteral: lambda _, literal: grammar.constant(False),
    Nil: lambda _, literal: grammar.constant(None),
    Empty: lambda _, literal: grammar.name("EMPTY"),
    Blank: lambda _, literal: grammar.name("BLANK"),
    BoundedRange: Expressions.range,
    Path: Expressions.path,
    FilteredExpression: Expressions.filtered,
    BooleanExpression: lambda self, boolean: self.test(boolean.expression),
    LogicalAndExpression: lambda self, both: grammar.both(
        self.test(both.left), self.test(both.right)
    ),
    LogicalOrExpression: lambda self, either: grammar.either(
        self.test(either.left), self.test(either.right)
    ),
    MeteredContains: Expressions.contained,
    **dict.fromkeys(COMPARISONS, Expressions.compared),
}
TESTS: Final = frozenset(
    {BooleanExpression, LogicalAndExpression, LogicalOrExpression, MeteredContains, *COMPARISONS}
)
