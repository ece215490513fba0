"""A template parsed by python-liquid, made into one Python function.

Only a closed set of nodes is known here. A template with any other is rendered by the library,
as a whole. What a template does and what it may use (output, loops, variables, work) is the same
either way, to the byte.
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from liquid import BoundTemplate
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import StringLiteral
from liquid.builtin.expressions.primitive import Blank, Empty, IntegerLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.decrement_tag import DecrementNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.increment_tag import IncrementNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression
from markupsafe import Markup

from campaigns.liquid import grammar, limits, runtime
from campaigns.liquid.abort import AbortNode, abort
from campaigns.liquid.environment import (
    Escape,
    JsonEchoNode,
    JsonOutputNode,
    MeteredLoop,
    children,
    count_nodes,
    environment,
    json_text,
    make_range,
)
from campaigns.liquid.expressions import Expressions, Loop, Unsupported

IDLE: Final = runtime.State()  # for what neither keeps nor spends anything
Program = Callable[[Mapping[str, Any]], str]

MAX_LOOP_DEPTH: Final = 14  # deeper, the library's bound on scopes comes in
MAX_PARTS: Final = 16  # texts joined at once: between two looks at the output's length
SHOW: Final = {"text": runtime.text, "html": runtime.html, "json": json_text}
SHOW_TEXT: Final = {"text": str, "html": runtime.html_text, "json": json_text}
CAPTURED: Final = {"text": str, "html": Markup, "json": str}


def compile_template(template: BoundTemplate, escape: Escape) -> Program | None:
    """The template as a function of its variables; None where it is beyond the closed set."""
    if count_nodes(template.nodes) > limits.MAX_COMPILED_NODES:
        return None
    try:
        module, names = translate(template, escape)
        made = compile(module, "<template>", "exec")
    except (Unsupported, SyntaxError, RecursionError):  # Python nests loops only so deep
        return None
    exec(made, names)  # noqa: S102  # a tree of grammar.py's forms, no text of an author
    render: Callable[[Mapping[str, Any], runtime.State], str] = names["render"]
    if not any(isinstance(one, ast.Name) and one.id == "state" for one in ast.walk(module)):
        return lambda variables: render(variables, IDLE)
    return lambda variables: render(variables, runtime.State())


def translate(template: BoundTemplate, escape: Escape) -> tuple[ast.Module, dict[str, Any]]:
    """The tree of the function, and everything it can see. Raises `Unsupported`."""
    env = template.env
    own = frozenset(_own_names(template.nodes))
    expressions = Expressions(env.autoescape, env.filters, own)
    body = _Body(expressions)
    with body.writing(_Output(0)) as statements:
        body.nodes(template.nodes)
    start = [
        grammar.assign(
            word,
            grammar.method("variables", "get", grammar.constant(root), grammar.name("UNDEFINED")),
        )
        for root, word in expressions.roots.items()
    ]
    end = ast.Return(body.whole(0))
    module = grammar.function("render(variables, state)", [*start, *statements, end])
    return module, {**_world(escape), **expressions.globals}


def _world(escape: Escape) -> dict[str, Any]:
    """All that generated code can name, apart from its filters and its author's texts."""
    library_default = environment(escape).filters["default"]

    def default(value: Any, other: Any) -> Any:
        if type(value) is str and 0 < len(value) <= limits.MAX_VALUE_CHARACTERS:
            return value
        return library_default(IDLE, value, other)

    return {
        "__builtins__": {},
        "type": type,
        "dict": dict,
        "len": len,
        "enumerate": enumerate,
        "UNDEFINED": runtime.UNDEFINED,
        "UNLIMITED": runtime.UNLIMITED,
        "CONTINUE": runtime.CONTINUE,
        "EMPTY": Empty(runtime.NOWHERE),
        "BLANK": Blank(runtime.NOWHERE),
        "str": str,
        "show": SHOW[escape],
        "show_text": SHOW_TEXT[escape],
        "captured": CAPTURED[escape],
        "item": runtime.Lookup(environment(escape)).item,
        "default": default,
        "make_range": make_range,
        "truthy": runtime.truthy,
        "equal": runtime.equal,
        "less": runtime.less,
        "at_most": runtime.at_most,
        "contains": runtime.contains,
        "width": runtime.width,
        "overflow": runtime.overflow,
        "tired": runtime.tired,
        "too_many_rounds": runtime.too_many_rounds,
        "stray": runtime.stray,
        "abort": abort,
    }


def _own_names(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, AssignNode | CaptureNode | IncrementNode | DecrementNode):
            yield str(node.name)
        yield from _own_names(children(node))


@dataclass(slots=True)
class _Output:
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


class _Body:
    """Statements of the function, in the order of the nodes."""

    def __init__(self, expressions: Expressions) -> None:
        self.expressions = expressions
        self.statements: list[ast.stmt] = []
        self.output = _Output(0)
        self.counted = 0

    def nodes(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            made = MAKERS.get(type(node))
            if made is None:
                raise Unsupported(type(node).__name__)
            made(self, node)
        self.flush()

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
    def writing(self, output: _Output) -> Iterator[list[ast.stmt]]:
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

    def block(self, block: BlockNode) -> None:
        """A block of blanks writes nothing, but does what it says."""
        self.flush()
        before = self.output.muted
        self.output.muted = before or block.blank
        self.nodes(block.nodes)
        self.output.muted = before

    def nested_block(self, block: BlockNode | None) -> list[ast.stmt]:
        with self.nested() as statements:
            if block is not None:
                self.block(block)
        return statements

    def content(self, node: ContentNode) -> None:
        self.write(grammar.constant(node.text))

    def show(self, node: OutputNode) -> None:
        value = self.expressions.value(node.expression)
        shown = grammar.name("shown")
        self.write(
            grammar.choose(
                grammar.is_exactly(grammar.named("shown", value), "str"),
                grammar.call("show_text", shown),
                grammar.call("show", shown),
            )
        )

    def assign(self, node: AssignNode) -> None:
        value = self.expressions.value(node.expression)
        self.add(
            grammar.do(grammar.method("state", "assign", grammar.constant(str(node.name)), value))
        )

    def capture(self, node: CaptureNode) -> None:
        output = _Output(self.number())
        with self.writing(output) as statements:
            self.block(node.block)
        self.statements += statements
        value = grammar.call("captured", self.whole(output.number))
        self.add(
            grammar.do(grammar.method("state", "assign", grammar.constant(str(node.name)), value))
        )

    def condition(self, node: IfNode | UnlessNode) -> None:
        test = self.expressions.value(node.condition)
        if isinstance(node, UnlessNode):
            test = grammar.negated(test)
        branches = [(test, node.consequence)] + [
            (self.expressions.value(one.expression), one.block) for one in node.alternatives
        ]
        otherwise = self.nested_block(node.default)
        for condition, block in reversed(branches):
            otherwise = [grammar.when(condition, self.nested_block(block), otherwise)]
        self.statements += otherwise

    def case(self, node: CaseNode) -> None:
        """Every `when` that matches is rendered, and `else` if none before it did."""
        matched = f"matched{self.number()}"
        self.add(grammar.assign(matched, grammar.constant(False)))
        for block in node.blocks:
            if isinstance(block, MultiExpressionBlockNode):
                test = self._any_equal(block.expression.left, block.expression.expressions)
                inside = [
                    grammar.assign(matched, grammar.constant(True)),
                    *self.nested_block(block.block),
                ]
            else:
                test = grammar.negated(grammar.name(matched))
                inside = self.nested_block(block)
            self.statements.append(grammar.when(test, inside))

    def _any_equal(self, left: Expression, others: Sequence[Expression]) -> ast.expr:
        # A value that two of them match is rendered twice by the library.
        if len(others) > 1 and not _all_different(others):
            raise Unsupported("when, with values that may be the same")
        tests = [
            grammar.call("equal", self.expressions.value(left), self.expressions.value(other))
            for other in others
        ]
        return tests[0] if len(tests) == 1 else ast.BoolOp(ast.Or(), tests)

    def loop(self, node: ForNode) -> None:
        if len(self.expressions.loops) >= MAX_LOOP_DEPTH:
            raise Unsupported("a deeply nested loop")
        self.flush()
        head = cast(MeteredLoop, node.expression)
        label = f"{head.identifier}-{head.iterable}"
        loop = Loop(head.identifier, label, self.number())
        rounds = grammar.method("state", "rounds", grammar.constant(label), *self._range_of(head))
        default = self.nested_block(node.default)
        product = self._product(loop)
        self.expressions.loops.append(loop)
        with self.nested() as inside:
            inside += [
                grammar.take_from("state", "work", grammar.constant(head.round_work)),
                grammar.when(
                    grammar.compare(_work(), ast.Lt(), grammar.constant(0)),
                    [grammar.do(grammar.call("tired"))],
                ),
            ]
            self.block(node.block)
        self.expressions.loops.pop()
        values, words = grammar.name(_values(loop)), [loop.item]
        if loop.counted:
            values, words = grammar.call("enumerate", values), [loop.index, loop.item]
        self.statements += [
            grammar.unpack([_values(loop), loop.length], rounds),
            grammar.when(
                grammar.name(loop.length),
                [*product, grammar.loop(words, values, inside)],
                default,
            ),
        ]

    def _range_of(self, head: Any) -> list[ast.expr]:
        limit: ast.expr = grammar.name("UNLIMITED")
        if head.limit is not None:
            limit = self.expressions.value(head.limit)
        offset: ast.expr = grammar.constant(0)
        if isinstance(head.offset, StringLiteral):
            word = head.offset.value
            offset = grammar.name("CONTINUE") if word == "continue" else grammar.constant(word)
        elif head.offset is not None:
            offset = self.expressions.value(head.offset)
        values = self.expressions.value(head.iterable)
        return [values, limit, offset, grammar.constant(bool(head.reversed))]

    def _product(self, loop: Loop) -> list[ast.stmt]:
        """Rounds of this loop times those of the loops around it stay below the limit."""
        product: ast.expr = grammar.name(loop.length)
        if self.expressions.loops:
            around = grammar.name(_product_of(self.expressions.loops[-1]))
            product = grammar.arithmetic(around, ast.Mult(), product)
        mine = grammar.name(_product_of(loop))
        return [
            grammar.assign(_product_of(loop), product),
            grammar.when(
                grammar.compare(mine, ast.Gt(), grammar.constant(limits.MAX_LOOP_ROUNDS)),
                [grammar.do(grammar.call("too_many_rounds"))],
            ),
        ]

    def leave(self, node: BreakNode | ContinueNode) -> None:
        word = "break" if isinstance(node, BreakNode) else "continue"
        if not self.expressions.loops:
            self.add(grammar.do(grammar.call("stray", grammar.constant(word))))
        else:
            self.add(ast.Break() if word == "break" else ast.Continue())

    def count(self, node: IncrementNode | DecrementNode) -> None:
        word = "increment" if isinstance(node, IncrementNode) else "decrement"
        self.write(grammar.method("state", word, grammar.constant(str(node.name))))

    def give_up(self, node: AbortNode) -> None:
        self.add(grammar.do(grammar.call("abort", grammar.constant(node.word))))

    def nothing(self, node: Node) -> None:
        """A comment."""


def _work() -> ast.expr:
    return ast.Attribute(grammar.name("state"), "work", grammar.LOAD)


def _values(loop: Loop) -> str:
    return f"values{loop.number}"


def _product_of(loop: Loop) -> str:
    return f"product{loop.number}"


def _all_different(literals: Sequence[Expression]) -> bool:
    known = [
        (type(one), one.value)
        for one in literals
        if isinstance(one, StringLiteral | IntegerLiteral)
    ]
    return len(set(known)) == len(literals)


MAKERS: dict[type, Callable[[_Body, Any], None]] = {
    ContentNode: _Body.content,
    OutputNode: _Body.show,
    EchoNode: _Body.show,
    JsonOutputNode: _Body.show,
    JsonEchoNode: _Body.show,
    AssignNode: _Body.assign,
    CaptureNode: _Body.capture,
    IfNode: _Body.condition,
    UnlessNode: _Body.condition,
    CaseNode: _Body.case,
    ForNode: _Body.loop,
    BreakNode: _Body.leave,
    ContinueNode: _Body.leave,
    IncrementNode: _Body.count,
    DecrementNode: _Body.count,
    LiquidNode: lambda self, node: self.block(node.block),
    AbortNode: _Body.give_up,
    CommentNode: _Body.nothing,
    InlineCommentNode: _Body.nothing,
    DocNode: _Body.nothing,
}
