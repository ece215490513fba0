import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.errors import TemplateFailed
from campaigns.language import find_error, list_names, parse


def test_values_are_escaped_in_html_and_plain_elsewhere():
    source = "{{ profile.first_name }}"
    values = {"profile": {"first_name": "<b>&"}}
    assert parse(source, html=True).render(values) == "&lt;b&gt;&amp;"
    assert parse(source).render(values) == "<b>&"


def test_values_are_never_parsed_again():
    values = {"profile": {"first_name": "{{ secret }}{% raw %}"}, "secret": "s"}
    assert parse("Hi {{ profile.first_name }}").render(values) == "Hi {{ secret }}{% raw %}"


def test_unknown_variables_are_empty():
    assert parse("[{{ nothing.at.all }}]").render({}) == "[]"


def test_what_people_sent_cannot_be_marked_as_safe():
    with pytest.raises(TemplateFailed, match="there is no filter “safe”"):
        parse("{{ profile.first_name | safe }}", html=True)


@pytest.mark.parametrize("tag", ["{% include 'other' %}", "{% render 'other' %}"])
def test_other_templates_cannot_be_read(tag):
    with pytest.raises(TemplateFailed, match="unexpected tag"):
        parse(tag)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for i in (1..9000) %}" + "x" * 200 + "{% endfor %}",
        "{% assign s = 'aaaaaaaa' %}{% for i in (1..40) %}{% assign s = s | append: s %}"
        "{% endfor %}",
        "{{ 'aaaaaaaaaa' " + "| replace: 'a', 'aaaaaaaaaa' " * 12 + "}}",
        "{{ 'aaaaaaaaaa' | split: '' | join: '" + "b" * 90_000 + "' }}",
    ],
)
def test_a_template_that_grows_without_end_is_stopped(source):
    with pytest.raises(TemplateFailed):
        parse(source).render({})


@pytest.mark.parametrize(
    "expression", ["{{ 1 | divided_by: 0 }}", "{{ p | times: p }}", "{{ p | date: p }}"]
)
def test_an_odd_value_fails_its_message_or_renders_but_never_breaks(expression):
    for value in [{}, [], None, "x", -1, 10**400, True]:
        with suppress(TemplateFailed):
            assert isinstance(parse(expression).render({"p": value}), str)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' | escape: environment: 1 }}",
        "{{ cards | compact: 'colour' }}",
    ],
)
def test_what_the_library_does_not_catch_fails_the_message(source):
    with pytest.raises(TemplateFailed):
        parse(source).render({"cards": [{"name": "Cup"}]})


def test_a_source_beyond_all_reason_is_refused_before_it_is_read():
    assert find_error("{{ x }}" * 71_429).message == "is longer than 500,000 characters"
    assert find_error("x" * 500_000) is None


def test_what_cannot_be_compiled_is_rendered_by_the_library():
    parsed = parse("{% for i in (1..3) %}{% cycle 'a', 'b' %}{% endfor %}")
    assert (parsed.program, parsed.render({})) == (None, "aba")
    assert parse("{{ 'a' }}" * 2_001).program is None
    assert parse("{{ 'a' }}" * 1_000).program is not None


def test_an_error_says_its_line():
    found = find_error("one\ntwo\n{{ x | nofilter }}")
    assert (found.line, found.message) == (3, "there is no filter “nofilter”")
    assert find_error("{% if a %}\nx").line == 2
    assert find_error("{{ fine }}") is None


def test_names_used_come_with_their_lines():
    source = "{{ profile.city }}\n{% for x in slots.picks %}{{ x.name }}{% endfor %}{{ foo }}"
    assert list(list_names(source)) == [
        (("profile", "city"), 1),
        (("slots", "picks"), 2),
        (("foo",), 2),
    ]


def test_python_is_out_of_reach():
    class Secret:
        value = "s"

    values = {"profile": Secret(), "d": {}}
    assert parse("{{ profile.value }}{{ d.__class__ }}{{ profile.__dict__ }}").render(values) == ""


POLYGLOT = '"},"admin":true,{"x":"\\ \r\n\t</script>{{ 7 }}\u2028\u202e🎁\x00'


@pytest.mark.parametrize(
    "source",
    [
        '"{{ v }}"', "{{ v | json }}", '"{% echo v %}"', "{% liquid echo v | json %}",
        '{% assign w = v %}"{{ w }}"', '"{% for c in l %}{{ c }}{% endfor %}"',
        '"{{ v | append: none }}"',
    ],
)  # fmt: skip
def test_any_value_comes_back_out_of_the_json_it_stands_in(source):
    text = parse(source, json=True).render({"v": POLYGLOT, "l": [POLYGLOT]})
    assert json.loads(text) == POLYGLOT


@given(st.text(max_size=40), st.text(max_size=40), st.integers(1, 40))
def test_no_values_make_a_key_of_their_own(one, other, length):
    source = '{"a": "{{ a | truncate: n }}", "b": "{{ b | upcase | slice: 0, 9 }}"}'
    text = parse(source, json=True).render({"a": one, "b": other, "n": length})
    assert sorted(json.loads(text)) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (2, "2"), (0.5, "0.5"),
        (["a", {"b": 1}], '["a", {"b": 1}]'),
        (Decimal("9.90"), '"9.90"'), ("ü", '"\\u00fc"'),
    ],
)  # fmt: skip
def test_the_json_filter_writes_any_value_whole(value, text):
    assert parse("{{ v | json }}", json=True).render({"v": value}) == text
    assert parse("{{ nobody | json }}", json=True).render({}) == "null"


def test_a_number_that_json_lacks_fails_its_message():
    with pytest.raises(TemplateFailed):
        parse("{{ v | json }}", json=True).render({"v": float("nan")})


@pytest.mark.parametrize("tag", ["{% capture x %}a{% endcapture %}", "{% cycle a, b %}"])
def test_tags_that_write_values_by_themselves_are_refused_in_json(tag):
    found = find_error(tag, json=True)
    assert found is not None
    assert find_error(tag) is None
