"""Generated code is a tree of few forms and few names, whatever a template says."""

import ast
import re

import pytest
from hypothesis import HealthCheck, given, settings

from campaigns.errors import TemplateFailed
from campaigns.language import parse
from campaigns.liquid.compiler import _world, translate
from campaigns.liquid.expressions import Unsupported
from tests.campaigns.liquid.hostile import BOMBS, OUTSIDE, WALKS
from tests.campaigns.liquid.templates import TEMPLATES

FORMS = {
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign,
    ast.Expr, ast.If, ast.For, ast.Break, ast.Continue, ast.Pass, ast.Name, ast.Attribute,
    ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Call, ast.keyword, ast.Compare,
    ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.IfExp, ast.NamedExpr, ast.List, ast.Tuple,
    ast.Load, ast.Store,
    ast.And, ast.Or, ast.Not, ast.Add, ast.Sub, ast.Mult, ast.Lt, ast.Gt, ast.Eq, ast.Is,
}  # fmt: skip
ATTRIBUTES = {
    ("state", "assign"), ("state", "find"), ("state", "increment"), ("state", "decrement"),
    ("state", "rounds"), ("state", "work"), ("variables", "get"), ("text", "isascii"),
    ("root", "get"), ("item", "get"), ("parts", "append"), ("", "join"),
}  # fmt: skip
OURS = (
    r"(?:root|item|index|length|values|product|parts|size|limit|matched|markup)[0-9]+"
    r"|state|variables|text|shown|render|filter_[a-z0-9_]+"
)


def require_allowed(tree, names):
    for node in ast.walk(tree):
        assert type(node) in FORMS, ast.dump(node)
        if isinstance(node, ast.Name | ast.arg):
            word = node.id if isinstance(node, ast.Name) else node.arg
            assert re.fullmatch(OURS, word) or word in names, word
        elif isinstance(node, ast.Attribute):
            owner = node.value
            word = owner.id.rstrip("0123456789") if isinstance(owner, ast.Name) else owner.value
            assert (word, node.attr) in ATTRIBUTES, (word, node.attr)
        elif isinstance(node, ast.keyword):
            assert node.arg == "allow_false"
        elif isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name | ast.Attribute)
        elif isinstance(node, ast.Constant):
            assert node.value is None or type(node.value) in (str, int, float, bool)


def check(source, escape):
    options = {escape: True} if escape != "text" else {}
    try:
        template = parse(source, **options).template
        if template is None:
            return False
        tree, _ = translate(template, escape)
    except (TemplateFailed, Unsupported, RecursionError):
        return False
    require_allowed(tree, _world(escape))
    return True


@pytest.mark.parametrize("escape", ["text", "html", "json"])
def test_hostile_templates_become_allowed_code_or_none(escape):
    checked = [check(source, escape) for source in [*WALKS, *OUTSIDE, *BOMBS[:-6]]]
    assert sum(checked) > 200


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=TEMPLATES)
def test_any_template_becomes_allowed_code_or_none(source):
    check(source, "html")


def test_code_sees_no_builtins_but_those_named():
    world = _world("text")
    assert world["__builtins__"] == {}
    found = [value for value in world.values() if getattr(value, "__module__", "") == "builtins"]
    assert {value.__name__ for value in found} == {"type", "dict", "len", "enumerate", "str"}


def test_the_check_itself_finds_what_is_not_allowed():
    for code in ("import os", "x.y", "__import__('os')", "f(*a)", "lambda: 1", "state.work.real"):
        with pytest.raises(AssertionError):
            require_allowed(ast.parse(code), _world("text"))
