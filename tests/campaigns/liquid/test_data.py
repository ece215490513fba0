"""What people are called must not become code: odd texts in every field of every channel."""

import json
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from campaigns.models import Template
from campaigns.render import render

TEXTS = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg/onload=alert(1)>",
    "javascript:alert(1)//", "</title></style></textarea><script>x</script>", "<!--", "-->",
    "]]>", "<![CDATA[x]]>", "&lt;b&gt;", "&amp;amp;", "&#0;", "&copy", "\\\"'`", "\\u003c",
    "\\", "\"",
    "'", "{{ profile.email }}", "{% raw %}", "{{", "}}", "{%", "%}", "{{ 'x' | upcase }}",
    "${first_name}", "{% abort_message('x') %}", "{% for i in (1..9) %}",
    "%(x)s %s %d", "{0} {x!r}", "#{1+1}",
    "Ana\r\nBcc: all@x.example", "a\nb", "a\rb", "a\tb", "a\u2028b", "a\u2029b",
    "a\u0085b", "a\x0bb",
    "\u202eevil\u202c", "\u2066x\u2069", "\u200fx\u200e", "\ufeffx", "a\u200db", "مرحبا بالعالم",
    "שלום עולם", "😀👩‍👩‍👧‍👦🏳️‍🌈", "𠜎𠜱", "Ⓐ", "İstanbul ﬁ ß", "e\u0301", "Z̸̢a̷l̶g̴o̵", "null", "None",
    "true", "0", "-1", "1e999", "NaN", "=1+1", "+cmd|' /C calc'!A0", "@SUM(1)", "../../etc/passwd",
    "' OR 1=1 --", "; DROP TABLE x", "`id`", "$(id)", "|id", "a&b=c#d?e", "100% +1", "x" * 2_000,
    "*_~`[x](y)", "lqd0x", "<!--lqd0x-->", "=?utf-8?q?x?=", "a,b;c:d", "ﷺ", "\ud7ff\ue000\uffff",
]  # fmt: skip


class Reader(HTMLParser):
    """The texts and attributes of the elements that carry an id."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.texts, self.attributes, self.here, self.tags = {}, {}, "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.here = found.get("id", "")
        self.attributes[self.here] = found

    def handle_endtag(self, tag):
        self.here = ""

    def handle_data(self, data):
        self.texts[self.here] = self.texts.get(self.here, "") + data


def one_line(text):
    return " ".join(text.split())


@pytest.fixture(params=TEXTS, ids=ascii)
def text(request):
    return request.param


def variables(text):
    card = {"id": "1", "name": text, "price": "1.00", "link": "https://s.example/1"}
    return {"profile": {"first_name": text, text: "key"}, "slots": {"picks": [card]}}


def test_a_mail_says_exactly_the_text(text):
    template = Template(
        channel="email",
        subject="Hi {{ profile.first_name }}!",
        preheader="{{ profile.first_name }}",
        body='<p id="name">{{${first_name}}}</p>'
        '<a id="link" title="{{ profile.first_name }}"'
        ' href="https://s.example/?q={{ profile.first_name }}">x</a>'
        '{% for p in slots.picks %}<b id="card">{{ p.name }}</b>{% endfor %}',
        text="{{ profile.first_name }}",
    )
    content = render(template, variables(text))
    plain = render(Template(channel="email", subject="s", body=template.body), variables("plain"))
    seen = Reader(content.html)
    assert content.subject == one_line(f"Hi {text}!")
    assert content.text == text
    assert (seen.texts["name"], seen.texts["card"]) == (text, text)
    assert seen.attributes["link"]["title"] == text
    assert parse_qs(urlsplit(seen.attributes["link"]["href"]).query)["q"] == [text]
    assert seen.tags == Reader(plain.html).tags  # no element came in by the text


def test_the_text_part_made_from_the_html_says_it_too(text):
    template = Template(channel="email", subject="s", body="<p>[{{ profile.first_name }}]</p>")
    assert f"[{text}]" in render(template, variables(text)).text


@pytest.mark.parametrize("channel", ["push", "in_app"])
def test_a_short_message_says_exactly_the_text(channel, text):
    template = Template(
        channel=channel,
        title="[{{ profile.first_name }}]",
        body="[{{ slots.picks[0].name }}]",
        button="[{{ profile.first_name }}]",
        link="https://s.example/?q={{ profile.first_name }}",
        image_url="https://s.example/i.png?q={{ slots.picks[0].name }}",
    )
    content = render(template, variables(text))
    assert (content.title, content.body) == (one_line(f"[{text}]"), f"[{text}]")
    assert content.button == one_line(f"[{text}]")
    for address in (content.link, content.image_url):
        assert parse_qs(urlsplit(address).query)["q"] == [text]


def test_a_webhook_reads_back_as_the_text(text):
    template = Template(
        channel="webhook",
        body='{"name": "<{{${first_name}}}>", "whole": {{ profile.first_name | json }},'
        ' "cards": [{% for p in slots.picks %}"{% echo p.name %}"{% endfor %}]}',
    )
    body = render(template, variables(text)).body
    assert json.loads(body) == {"name": f"<{text}>", "whole": text, "cards": [text]}


def test_an_sms_and_a_web_push_say_exactly_the_text(text):
    sms = Template(channel="sms", body="[{{ profile.first_name }}] STOP")
    assert render(sms, variables(text)).body == f"[{text}] STOP"
    push = Template(
        channel="web_push", title="{{ profile.first_name }}!", body="[{{${first_name}}}]"
    )
    content = render(push, variables(text))
    assert (content.title, content.body) == (one_line(f"{text}!"), f"[{text}]")
