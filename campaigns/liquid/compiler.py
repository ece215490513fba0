"""A template parsed by python-liquid, made into one Python function.

Only a closed set of nodes is known here (`statements.py`, `expressions.py`). A template with any
other is rendered by the library, as a whole. What a template does and what it may use (output,
loops, variables, work) is the same either way, to the byte.
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from liquid import BoundTemplate
from liquid.ast import Node
from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.decrement_tag import DecrementNode
from liquid.builtin.tags.increment_tag import IncrementNode
from markupsafe import Markup

from campaigns.liquid import grammar, limits, runtime
from campaigns.liquid.abort import abort
from campaigns.liquid.environment import (
    Escape,
    children,
    count_nodes,
    environment,
    json_text,
    make_range,
)
from campaigns.liquid.expressions import Expressions, Unsupported
from campaigns.liquid.statements import Body
from campaigns.liquid.writer import Output

IDLE: Final = runtime.State()  # for what neither keeps nor spends anything
Program = Callable[[Mapping[str, Any]], str]

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
    body = Body(expressions)
    with body.writing(Output(0)) as statements:
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
