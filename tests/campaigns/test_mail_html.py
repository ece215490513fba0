import time
from contextlib import suppress

import pytest

from campaigns.errors import InvalidTemplate, TemplateFailed
from campaigns.language import parse
from campaigns.mail_html import Shelter, compile_body

MJML = """<mjml>
  <mj-head><mj-style>.price { color: red }</mj-style></mj-head>
  <mj-body>
    <mj-section><mj-column>
      <mj-text>Hi {{ profile.first_name | default: "you" }}</mj-text>
      <mj-table>
        {% for item in slots.picks %}
        <tr><td><a href="{{ item.link | append: "?a=1&b=2" }}">{{ item.name }}</a></td>
            <td class="price">{{ item.price }}</td></tr>
        {% endfor %}
      </mj-table>
      {% if profile.age > 17 %}<mj-text>Wine</mj-text>{% endif %}
    </mj-column></mj-section>
  </mj-body>
</mjml>"""
VALUES = {
    "profile": {"first_name": "Ana", "age": 20},
    "slots": {"picks": [{"name": "Cup", "price": "3.00", "link": "https://s.example/1"},
                        {"name": "Pot", "price": "9.00", "link": "https://s.example/2"}]},
}  # fmt: skip


def rendered(body, values=VALUES):
    return parse(compile_body(body).html, html=True).render(values)


def test_mjml_becomes_html_and_liquid_survives_in_tables_and_attributes():
    html = rendered(MJML)
    assert html.lower().startswith("<!doctype html")
    assert "Hi Ana" in html
    assert 'href="https://s.example/1?a=1&b=2"' in html
    assert html.count("https://s.example/") == 2
    assert "Wine" in html
    assert "lqd" not in html
    assert "<mj" not in html


def test_rows_of_a_loop_stay_inside_their_table():
    html = rendered(
        "<table>{% for i in slots.picks %}<tr><td>{{ i.name }}</td></tr>{% endfor %}</table>"
    )
    assert "<table><tbody><tr><td>Cup</td></tr><tr><td>Pot</td></tr></tbody></table>" in html


def test_styles_are_inlined():
    html = rendered("<style>.price { color: red }</style><p class='price'>3</p>")
    assert '<p class="price" style="color: red;">3</p>' in html


def test_a_condition_leaves_out_its_part():
    assert "Wine" not in rendered(MJML, VALUES | {"profile": {"age": 3}})


def test_the_plain_part_has_the_words_and_the_addresses():
    text = parse(compile_body(MJML).text).render(VALUES)
    assert "Hi Ana" in text
    assert "Cup (https://s.example/1?a=1&b=2) 3.00" in " ".join(text.split())
    assert "color" not in text
    assert "<" not in text


def test_the_preheader_opens_the_body_unless_the_author_placed_it():
    assert compile_body("<p>x</p>").html.count("{{ preheader }}") == 1
    assert compile_body("<p>{{ preheader }}</p>").html.count("{{ preheader }}") == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<mjml><mj-body>\n<mj-nope>x</mj-nope></mj-body></mjml>",
         "body, line 2: there is no component “mj-nope”"),
        ("<mjml><mj-body>\n<mj-section>\n</mj-body></mjml>",
         "body, line 3: </mj-body> closes nothing that is open here"),
        ("<mjml>\n<mj-body>", "body, line 2: <mj-body> is never closed"),
        ("<mjml><mj-body><mj-include path='/etc/passwd' /></mj-body></mjml>",
         "body, line 1: mj-include is not supported: paste the part here"),
    ],
)  # fmt: skip
def test_bad_mjml_is_refused_with_its_line(body, problem):
    with pytest.raises(InvalidTemplate) as caught:
        compile_body(body)
    assert [str(p) for p in caught.value.problems] == [problem]


def test_broken_xml_inside_mjml_is_refused_with_a_sentence():
    with pytest.raises(InvalidTemplate, match="body"):
        compile_body('<mjml><mj-body><mj-section a=b"></mj-section></mj-body></mjml>')


def test_nothing_is_fetched_from_other_places(monkeypatch):
    html = compile_body('<link rel="stylesheet" href="http://127.0.0.1:1/x.css"><p>x</p>').html
    assert "x.css" not in html


def test_tokens_come_back_as_they_were():
    source = 'a {{ x | append: ">" }} <b title="{% if a < b %}y{% endif %}">lqd0x</b>'
    shelter = Shelter.of(source)
    assert "{" not in shelter.covered
    assert shelter.restore(shelter.covered) == source


def test_a_loop_between_the_rows_of_a_table_is_refused_with_its_line():
    body = (
        "<mjml><mj-body><mj-section><mj-column>\n<mj-raw>\n"
        "{% for x in slots.a %}<p>{{ x.name }}</p>{% endfor %}</mj-raw>\n"
        "</mj-column></mj-section></mj-body></mjml>"
    )
    with pytest.raises(InvalidTemplate) as refused:
        compile_body(body)
    [problem] = refused.value.problems
    assert problem.path == "body, line 3"
    assert problem.message.startswith("{% for x in slots.a %} stands where HTML allows only")


def test_no_font_is_asked_of_another_host_unless_the_author_says_so():
    body = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>Hi</mj-text>"
        "</mj-column></mj-section></mj-body></mjml>"
    )
    assert "fonts.googleapis" not in compile_body(body).html


@pytest.mark.parametrize(
    "beginning", ["<a", '<a "', "<a '", "<!--", "<style>", "<table ", "<mj-text ", "{{ ", "{% "]
)
@pytest.mark.parametrize("start", ["<p>", "<mjml>"])
def test_a_source_of_beginnings_is_read_once(start, beginning):
    """Forty kilobytes of "<a" took a minute, in the form and again in every sender."""
    began = time.process_time()  # what others take of a busy machine is left out
    with suppress(InvalidTemplate, TemplateFailed):
        compile_body(start + beginning * 20_000)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("tag", ["div", "b", "svg", "a", "span", "mj-raw"])
@pytest.mark.parametrize("body", ["{}", "<mjml><mj-body><mj-raw>{}</mj-raw></mj-body></mjml>"])
def test_elements_in_elements_without_end_are_refused_with_their_line(tag, body):
    """The compilers call themselves for each: such a body took down the process that read it."""
    with pytest.raises(InvalidTemplate, match="body, line 2: more than 150 elements are open"):
        compile_body(body.format("\n" + f"<{tag}>" * 100_000))


def test_a_long_body_of_few_levels_compiles():
    """Void elements and those that the next one ends open nothing."""
    row = "<tr><td><p>a<br><img src='x'><div><span>b</span></div></td>"
    assert compile_body("<table>" + row * 400 + "</table>").html.count("<span>b</span>") == 400


@pytest.mark.parametrize(
    "before",
    ["{% assign who = 'Ana' %}\n", "<!-- ours -->\n{% assign who = 'Ana' %}",
     '\ufeff<?xml version="1.0"?>\n<!DOCTYPE mjml>{% assign who = "Ana" %}'],
)  # fmt: skip
def test_what_stands_before_the_mjml_is_kept_and_the_rest_is_still_mjml(before):
    """Such a body went out as it was, with tags that no mail program knows."""
    body = MJML.replace('profile.first_name | default: "you"', "who")
    html = rendered(f"{before}{body}{{{{ who }}}}")
    assert html.lower().startswith("<!doctype html")
    assert "<mj" not in html
    assert html.count("Ana") == 2


def test_a_mistake_behind_liquid_and_before_the_mjml_keeps_its_line():
    body = '{% assign a = 1 %}\n\n<mjml><mj-body>\n<mj-section a=b"></mj-section></mj-body></mjml>'
    with pytest.raises(InvalidTemplate, match="body, line 4"):
        compile_body(body)


def test_a_condition_around_an_attribute_leaves_nothing_behind():
    body = '<p {% if profile.age > 17 %}title="wine"{% endif %}>x</p>'
    assert '<p title="wine" >x</p>' in rendered(body)
    assert "<p >x</p>" in rendered(body, {})


def test_the_plain_part_says_what_pictures_say():
    body = '<blockquote>Hi</blockquote><a href="https://s.example/"><img src="b" alt="Shop"></a>'
    assert compile_body(body + "<pre>a</pre>b").text == "Hi\nShop (https://s.example/)a\nb\n"
