import pytest

from campaigns.errors import TemplateFailed
from campaigns.models import Template
from campaigns.render import render

CARD = {"id": "p1", "name": "Cup & Co", "price": "3.00", "link": "https://s.example/p1"}


def variables(**profile):
    return {"profile": profile, "slots": {"picks": [CARD]}, "unsubscribe_url": "https://u.example"}


def test_a_mail_has_subject_html_and_text():
    template = Template(
        channel="email",
        subject="For {{ profile.first_name }}",
        preheader="{{ slots.picks[0].name }}",
        body='<p>{{ slots.picks[0].name }}</p><a href="{{ unsubscribe_url }}">Leave</a>',
    )
    content = render(template, variables(first_name="Ana <b>"))
    assert content.subject == "For Ana <b>"
    assert "<p>Cup &amp; Co</p>" in content.html
    assert content.html.count("Cup &amp; Co") == 2  # the preheader opens the body
    assert "Cup & Co" in content.text
    assert "Leave (https://u.example)" in content.text


def test_an_own_plain_part_is_taken():
    template = Template(channel="email", subject="s", body="<p>a</p>", text="b {{ profile.x }}")
    assert render(template, variables(x="<1>")).text == "b <1>"


def test_no_value_gives_a_header_another_line():
    template = Template(channel="email", subject="Hi {{ profile.first_name }}", body="x")
    content = render(template, variables(first_name="Ana\r\nBcc: all@x.example"))
    assert content.subject == "Hi Ana Bcc: all@x.example"


def test_a_push_is_plain_text():
    template = Template(
        channel="push", title="{{ slots.picks[0].name }}", body="{{ profile.first_name }}",
        link="{{ slots.picks[0].link }}",
        image_url="https://s.example/{{ slots.picks[0].id }}.jpg",
    )  # fmt: skip
    content = render(template, variables(first_name="Ana"))
    assert (content.title, content.body) == ("Cup & Co", "Ana")
    assert content.link == "https://s.example/p1"
    assert content.image_url == "https://s.example/p1.jpg"


def test_what_breaks_while_rendering_is_a_template_error():
    template = Template(channel="push", title="{{ 1 | divided_by: profile.children }}")
    with pytest.raises(TemplateFailed) as caught:
        render(template, variables(children=0))
    assert caught.value.code == "template_error"
