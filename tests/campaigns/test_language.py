from contextlib import suppress

import pytest

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
