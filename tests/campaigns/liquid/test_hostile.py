"""Template injection and template bombs, against both engines."""

import time
from dataclasses import replace

import pytest
from django.conf import settings

from campaigns.errors import TemplateFailed
from campaigns.language import parse
from campaigns.liquid.limits import MAX_OUTPUT_BYTES
from tests.campaigns.liquid.hostile import BOMBS, OUTSIDE, WALKS
from tests.campaigns.liquid.templates import outcomes

CANARY = "canary-3f9c"
VALUES = {
    "profile": {"first_name": "Ana", "tags": ["a", "b"] * 20},
    "slots": {"picks": [{"id": "1", "name": "Cup", "price": "3.00"}]},
}
# What a fifth of a second is, told by the machine itself: it may be slow, or shared with others.
# A yard takes four milliseconds on a quiet core of 2024.
MOST_YARDS = 50


def test_the_corpus_is_as_large_as_it_says():
    assert len({*WALKS, *OUTSIDE, *BOMBS}) >= 300


@pytest.mark.parametrize("escape", [{}, {"html": True}, {"json": True}], ids=str)
def test_no_template_reaches_what_is_not_in_its_variables(escape, monkeypatch):
    monkeypatch.setenv("ENGAGE_CANARY", CANARY)
    monkeypatch.setattr(settings, "SECRET_KEY", CANARY)
    words = (CANARY, "<class", "<function", "<built-in", "object at 0x", "root:x", "campaigns.")
    for source in [*WALKS, *OUTSIDE]:
        try:
            compiled, library = outcomes(source, VALUES, **escape)
        except TemplateFailed:
            continue
        assert compiled in (None, library), source
        assert not any(word in str(library) for word in words), source


def test_walks_find_nothing_at_all():
    for source in WALKS:
        assert parse(source).render(VALUES) == "", source


def spend(work):
    start = time.thread_time()
    work()
    return time.thread_time() - start


def yard():
    """Plain Python, of the sort that engines for templates do."""
    found = {}
    for number in range(50_000):
        found[number % 100] = str(number)


def refuse(parsed):
    with pytest.raises(TemplateFailed):
        parsed.render(VALUES)


def yards_until_refused(parsed):
    """The least of three, each beside its own yard: what slows down one slows down both."""
    return min(spend(lambda: refuse(parsed)) / spend(yard) for _ in range(3))


def test_every_bomb_is_refused_by_both_engines_within_a_fifth_of_a_second():
    yards = {}
    for source in BOMBS:
        try:
            parsed = parse(source)
        except TemplateFailed:
            continue
        yards[f"compiled: {source}"] = yards_until_refused(parsed)
        yards[f"library: {source}"] = yards_until_refused(replace(parsed, program=None))
    slowest = sorted(((spent, name[:60]) for name, spent in yards.items()), reverse=True)
    print(*slowest[:5], sep="\n")
    assert len(yards) > 80
    assert [one for one in slowest if one[0] > MOST_YARDS] == []


@pytest.mark.parametrize("name", ["default: 'x'", "upcase", "append: ''", "json", "first"])
def test_a_value_that_came_in_too_long_is_refused_by_both(name):
    source = f"{{{{ a | {name} }}}}"
    for length in (190_000, 200_001):
        compiled, library = outcomes(source, {"a": "é" * length})
        assert compiled == library
    assert name == "first" or library == ("failed",)


def test_what_is_just_below_the_limits_renders():
    full = "{% for i in (1..10000) %}" + "x" * 100 + "{% endfor %}"
    assert len(parse(full).render({})) == MAX_OUTPUT_BYTES
    with pytest.raises(TemplateFailed, match="output stream limit reached"):
        parse(full + "x").render({})
    product = "{% for i in (1..100) %}{% for j in (1..100) %}.{% endfor %}{% endfor %}"
    assert len(parse(product).render({})) == 10_000
    with pytest.raises(TemplateFailed, match="loop iteration limit reached"):
        parse(product.replace("(1..100)", "(1..101)")).render({})
