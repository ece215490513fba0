"""The few Python forms that compiled templates are made of.

A compiled template is a tree of these, never a text: what an author wrote can only become a
`Constant`. tests/campaigns/liquid/test_grammar.py walks such trees and names what may occur.
"""

import ast
from collections.abc import Sequence

LOAD, STORE = ast.Load(), ast.Store()


def name(word: str) -> ast.expr:
    return ast.Name(word, LOAD)


def constant(value: str | int | float | bool | None) -> ast.expr:
    return ast.Constant(value)


def call(function: str, *args: ast.expr, **keywords: ast.expr) -> ast.expr:
    words = [ast.keyword(word, value) for word, value in keywords.items()]
    return ast.Call(name(function), list(args), words)


def method(owner: str, word: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(name(owner), word, LOAD), list(args), [])


def choose(test: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
    return ast.IfExp(test, yes, no)


def named(word: str, value: ast.expr) -> ast.expr:
    """The value, kept in a variable too."""
    return ast.NamedExpr(ast.Name(word, STORE), value)


def is_exactly(value: ast.expr, kind: str) -> ast.expr:
    return compare(call("type", value), ast.Is(), name(kind))


def compare(left: ast.expr, sign: ast.cmpop, right: ast.expr) -> ast.expr:
    return ast.Compare(left, [sign], [right])


def both(left: ast.expr, right: ast.expr) -> ast.expr:
    return ast.BoolOp(ast.And(), [left, right])


def either(left: ast.expr, right: ast.expr) -> ast.expr:
    return ast.BoolOp(ast.Or(), [left, right])


def negated(value: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), value)


def arithmetic(left: ast.expr, sign: ast.operator, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, sign, right)


def joined(parts: Sequence[ast.expr]) -> ast.expr:
    """Texts, one after another."""
    if len(parts) == 1:
        return parts[0]
    return ast.JoinedStr(
        [
            part if isinstance(part, ast.Constant) else ast.FormattedValue(part, -1, None)
            for part in parts
        ]
    )


def assign(word: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(word, STORE)], value)


def unpack(words: Sequence[str], value: ast.expr) -> ast.stmt:
    target = ast.Tuple([ast.Name(word, STORE) for word in words], STORE)
    return ast.Assign([target], value)


def add_to(word: str, value: ast.expr) -> ast.stmt:
    return ast.AugAssign(ast.Name(word, STORE), ast.Add(), value)


def take_from(owner: str, word: str, value: ast.expr) -> ast.stmt:
    return ast.AugAssign(ast.Attribute(name(owner), word, STORE), ast.Sub(), value)


def do(value: ast.expr) -> ast.stmt:
    return ast.Expr(value)


def when(
    test: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt] | None = None
) -> ast.stmt:
    return ast.If(test, body or [ast.Pass()], otherwise or [])


def loop(words: Sequence[str], values: ast.expr, body: list[ast.stmt]) -> ast.stmt:
    target: ast.expr = ast.Name(words[0], STORE)
    if len(words) > 1:
        target = ast.Tuple([ast.Name(word, STORE) for word in words], STORE)
    return ast.For(target, values, body, [])


def function(head: str, body: list[ast.stmt]) -> ast.Module:
    """`head` is ours: the name and the parameters."""
    module = ast.parse(f"def {head}: pass")
    for defined in module.body:
        if isinstance(defined, ast.FunctionDef):
            defined.body = body
    return ast.fix_missing_locations(module)
