"""Liquid's tags and outputs as Python statements."""

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import StringLiteral
from liquid.builtin.expressions.primitive import IntegerLiteral
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

from campaigns.liquid import grammar, limits
from campaigns.liquid.abort import AbortNode
from campaigns.liquid.environment import JsonEchoNode, JsonOutputNode, MeteredLoop
from campaigns.liquid.expressions import Expressions, Loop, Unsupported
from campaigns.liquid.writer import Output, Writer

MAX_LOOP_DEPTH: Final = 14  # deeper, the library's bound on scopes comes in


class Body(Writer):
    """The statements of a template's nodes, in their order."""

    def __init__(self, expressions: Expressions) -> None:
        super().__init__()
        self.expressions = expressions

    def nodes(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            made = MAKERS.get(type(node))
            if made is None:
                raise Unsupported(type(node).__name__)
            made(self, node)
        self.flush()

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
        output = Output(self.number())
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


MAKERS: dict[type, Callable[[Body, Any], None]] = {
    ContentNode: Body.content,
    OutputNode: Body.show,
    EchoNode: Body.show,
    JsonOutputNode: Body.show,
    JsonEchoNode: Body.show,
    AssignNode: Body.assign,
    CaptureNode: Body.capture,
    IfNode: Body.condition,
    UnlessNode: Body.condition,
    CaseNode: Body.case,
    ForNode: Body.loop,
    BreakNode: Body.leave,
    ContinueNode: Body.leave,
    IncrementNode: Body.count,
    DecrementNode: Body.count,
    LiquidNode: lambda self, node: self.block(node.block),
    AbortNode: Body.give_up,
    CommentNode: Body.nothing,
    InlineCommentNode: Body.nothing,
    DocNode: Body.nothing,
}
