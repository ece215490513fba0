"""Where a template prints what a profile may lack, without saying what to print then."""

from collections.abc import Iterator, Sequence

from liquid import BoundTemplate
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.case_tag import CaseNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from campaigns.liquid.environment import children

Place = tuple[str, int]  # the attribute, and where in the source


def list_unguarded(template: BoundTemplate) -> Iterator[Place]:
    """Outputs of `profile.x` without `default`, outside of any condition on it."""
    yield from _walk(template.nodes, frozenset())


def _walk(nodes: Sequence[Node], asked: frozenset[str]) -> Iterator[Place]:
    for node in nodes:
        if isinstance(node, OutputNode):
            attribute = _attribute(node.expression)
            if attribute and attribute not in asked:
                yield attribute, node.token.start_index
        known = asked
        if isinstance(node, IfNode | UnlessNode | CaseNode):
            # An author who asks has thought of it; which branch does not matter.
            known |= {name for one in _conditions(node) for name in _paths(one)}
        yield from _walk(children(node), known)


def _conditions(node: IfNode | UnlessNode | CaseNode) -> Iterator[Expression]:
    yield from node.expressions()
    for child in children(node):
        if not isinstance(child, BlockNode):
            yield from child.expressions()


def _attribute(expression: Expression) -> str | None:
    """The attribute an output prints as it is, or None where a default stands in."""
    if not isinstance(expression, FilteredExpression):
        return None
    if any(one.name == "default" for one in expression.filters or ()):
        return None
    return next(iter(_paths(expression.left)), None)


def _paths(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Path):
        root, *steps = expression.path
        if root == "profile" and steps and isinstance(steps[0], str):
            yield steps[0]
    for child in expression.children():
        yield from _paths(child)
