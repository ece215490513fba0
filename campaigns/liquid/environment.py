"""python-liquid with every limit set and nothing that reaches outside.

It parses every template, and renders those that are not compiled.
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from io import StringIO
from typing import Any, Literal, TextIO, cast

from liquid import BoundTemplate, Environment, RenderContext, Token
from liquid.ast import Node
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.logical import ContainsExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.exceptions import UnknownFilterError
from liquid.expression import Expression
from liquid.limits import to_int
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string

from campaigns.liquid import filters, limits
from campaigns.liquid.abort import AbortTag
from campaigns.liquid.limits import Spender, bounded_range, cost

Escape = Literal["text", "html", "json"]


class Buffer(LimitedStringIO):
    """Keeps line ends: the library's own would make each CR of a value a new line."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, newline="")


class Metered(RenderContext, Spender):
    """A context that counts work, and lends itself to filters as their spender."""

    __slots__ = ("work",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.work = limits.MAX_WORK

    def assign(self, key: str, val: Any) -> None:
        self.spend(cost(val))
        super().assign(key, val)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        used = buf.size if isinstance(buf, LimitedStringIO) else 0
        return Buffer(limits.MAX_OUTPUT_BYTES - used)

    def filter(self, name: str, token: Token | None) -> filters.Filter:
        function = self.env.filters.get(name)
        if function is None:
            raise UnknownFilterError(f"unknown filter '{name}'", token=token)
        return partial(function, self)


class MeteredTemplate(BoundTemplate):
    context_class = Metered

    def _get_buffer(self) -> StringIO:
        return Buffer(limits.MAX_OUTPUT_BYTES)


class Limits(Environment):
    """All off by default in the library."""

    template_class = MeteredTemplate
    context_depth_limit = limits.MAX_DEPTH
    block_nesting_limit = limits.MAX_DEPTH
    loop_iteration_limit = limits.MAX_LOOP_ROUNDS
    local_namespace_limit = limits.MAX_LOCAL_BYTES
    output_stream_limit = limits.MAX_OUTPUT_BYTES

    def from_string(self, source: str, *args: Any, **kwargs: Any) -> BoundTemplate:
        template = super().from_string(source, *args, **kwargs)
        for node in template.nodes:
            _meter(node)
        return template


class BoundedRange(RangeLiteral):
    """A range could have a billion numbers, and filters would make a list of them."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        return make_range(start, stop)


class MeteredContains(ContainsExpression):
    """Looks through a whole text or list."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        cast(Metered, context).spend(cost(self.left.evaluate(context)))
        return super().evaluate(context)


class MeteredLoop(LoopExpression):
    """Spends for each round what its block costs."""

    __slots__ = ("round_work",)
    round_work: int

    def evaluate(self, context: RenderContext) -> tuple[Iterator[object], int]:
        items, length = super().evaluate(context)
        return self._rounds(items, cast(Metered, context)), length

    def _rounds(self, items: Iterator[object], context: Metered) -> Iterator[object]:
        for item in items:
            context.spend(self.round_work)
            yield item


def make_range(start: Any, stop: Any) -> range:
    return bounded_range(_whole(start), _whole(stop))


def _whole(value: Any) -> int:
    try:
        return int(to_int(value))
    except (ValueError, TypeError):
        return 0


def children(node: Node) -> list[Node]:
    """Of any node that our environments know: none of them needs a context for this."""
    return list(node.children(cast(RenderContext, None)))


def count_nodes(nodes: Iterable[Node]) -> int:
    """Tags, outputs, texts and filters."""
    return sum(_own_size(node) + count_nodes(children(node)) for node in nodes)


def _own_size(node: Node) -> int:
    return 1 + sum(_bound(expression) for expression in node.expressions())


def _meter(node: Node) -> int:
    """Put our bounds into a parsed node; the units of one render of it, rounds of loops apart."""
    work = limits.NODE_WORK * _own_size(node) + sum(_meter(child) for child in children(node))
    if isinstance(node, ForNode | TablerowNode):
        node.expression = _metered_loop(node.expression, work)
        return limits.LOOP_WORK
    return work


def _bound(expression: Expression) -> int:
    """How many filters an expression has."""
    # Theirs and ours have the same fields; the library's parser offers no other place to say so.
    if type(expression) is RangeLiteral:
        expression.__class__ = BoundedRange
    elif type(expression) is ContainsExpression:
        expression.__class__ = MeteredContains
    own = len(getattr(expression, "filters", None) or ())
    return own + sum(_bound(child) for child in expression.children())


def _metered_loop(loop: LoopExpression, round_work: int) -> MeteredLoop:
    metered = MeteredLoop(
        loop.token, loop.identifier, loop.iterable,
        limit=loop.limit, offset=loop.offset, reversed_=loop.reversed, cols=loop.cols,
    )  # fmt: skip
    metered.round_work = round_work
    return metered


def json_text(value: object) -> str:
    """A value as it may stand between the quotes of a JSON string."""
    if isinstance(value, filters.JsonText):
        return value
    return json.dumps(to_liquid_string(value, False))[1:-1]


class JsonOutputNode(OutputNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(json_text(self.expression.evaluate(context)))


class JsonEchoNode(EchoNode, JsonOutputNode):
    __slots__ = ()


class JsonOutput(Output):
    node_class = JsonOutputNode


class JsonEcho(EchoTag):
    node_class = JsonEchoNode


@lru_cache(maxsize=3)
def environment(escape: Escape) -> Limits:
    made = Limits(autoescape=escape == "html")
    for tag in ("include", "render"):  # they would read other templates
        del made.tags[tag]
    made.add_tag(AbortTag)
    if escape == "json":
        made.add_tag(JsonOutput)
        made.add_tag(JsonEcho)
        for name in ("capture", "cycle", "tablerow"):  # they write by themselves, not escaped
            del made.tags[name]
    made.filters = filters.bind(made)
    return made
