"""A mail is compiled when its template is saved, and never sent as it was before a change."""

import hashlib

import pytest
from django.db import connection

from campaigns import compiled, templates
from campaigns.compose import compose
from campaigns.errors import InvalidTemplate
from campaigns.fanout import new_message
from campaigns.mail_html import COMPILER, Compiled, compile_body
from campaigns.models import Template, Variant
from campaigns.preview import preview
from campaigns.render import render
from tests.factories import make_campaign, make_profile, make_template

pytestmark = pytest.mark.django_db
BODY = (
    "<mjml><mj-head><mj-style>b { color: red }</mj-style></mj-head><mj-body><mj-section>"
    "<mj-column><mj-text><b>Hi</b> {{ profile.first_name }}</mj-text></mj-column>"
    "</mj-section></mj-body></mjml>"
)
ANA = {"profile": {"first_name": "Ana"}}


@pytest.fixture
def compiled_bodies(monkeypatch):
    """Every body that the compiler is asked for."""
    bodies = []

    def compile_and_note(body):
        bodies.append(body)
        return compile_body(body)

    monkeypatch.setattr(compiled, "compile_body", compile_and_note)
    return bodies


def save_mail(**fields):
    """As it is read again, by another process."""
    template = Template(name="May", channel="email", subject="Hi", body=BODY)
    for name, value in fields.items():
        setattr(template, name, value)
    templates.save_template(template)
    return Template.objects.get()


def kept_by(template):
    return Compiled(html=template.compiled_html, text=template.compiled_text)


def test_a_saved_mail_keeps_what_it_was_compiled_into():
    template = save_mail()
    assert '<b style="color: red;">Hi</b> {{ profile.first_name }}' in template.compiled_html
    assert template.compiled_text == "Hi {{ profile.first_name }}\n"
    assert (template.compiled_from, template.compiled_by) == (BODY, COMPILER)


def test_a_saved_mail_is_rendered_without_the_compiler(compiled_bodies):
    template = save_mail()
    assert set(compiled_bodies) == {BODY}
    compiled_bodies.clear()
    content = render(template, ANA)
    assert '<b style="color: red;">Hi</b> Ana' in content.html
    assert content.text == "Hi Ana\n"
    assert compiled_bodies == []


def test_preview_test_and_send_say_the_same_and_compile_nothing(now, compiled_bodies):
    template, person = save_mail(), make_profile(first_name="Ana", email="a@x.example")
    compiled_bodies.clear()
    campaign = make_campaign(template=template)
    variant = campaign.variants.get()
    shown = preview(template, person.pk, now=now).personal.content
    messages = [
        new_message(campaign, variant, profile_id=person.pk, now=now, kind=kind)
        for kind in ("test", "campaign")
    ]
    drafts = compose(messages, now=now)
    inside = shown.html.removesuffix("</body></html>")
    assert all(draft.content.html.startswith(inside) for draft in drafts)  # then the pixel
    assert [draft.content.text for draft in drafts] == [shown.text, shown.text] == ["Hi Ana\n"] * 2
    assert compiled_bodies == []


def test_a_body_changed_by_other_means_is_compiled_anew(now, compiled_bodies):
    campaign = make_campaign(template=save_mail())
    compiled_bodies.clear()
    Template.objects.update(body="<p>Bye {{ profile.first_name }}</p>")
    person = make_profile(first_name="Ana", email="a@x.example")
    message = new_message(campaign, Variant.objects.get(), profile_id=person.pk, now=now)
    [draft] = compose([message], now=now)
    assert ("<p>Bye Ana</p>" in draft.content.html, draft.content.text) == (True, "Bye Ana\n")
    assert compiled_bodies == ["<p>Bye {{ profile.first_name }}</p>"]


def test_what_another_compiler_made_is_compiled_anew():
    save_mail()
    Template.objects.update(compiled_by="0", compiled_html="old", compiled_text="old")
    content = render(Template.objects.get(), ANA)
    assert "old" not in content.html + content.text
    assert content.text == "Hi Ana\n"


def test_a_mail_that_keeps_nothing_is_rendered_the_same(compiled_bodies):
    kept = render(save_mail(), ANA)
    compiled_bodies.clear()
    bare = make_template(subject="Hi", body=BODY)
    assert bare.compiled_by == ""
    assert render(bare, ANA) == kept
    assert compiled_bodies == [BODY]


def test_saving_again_keeps_the_new_body_and_heals_what_was_kept_wrongly():
    template = save_mail()
    Template.objects.update(compiled_html="wrong", compiled_text="wrong")
    template.refresh_from_db()
    templates.save_template(template)
    assert kept_by(Template.objects.get()) == compile_body(BODY)
    template.body = "<p>Bye</p>"
    templates.save_template(template)
    assert kept_by(Template.objects.get()) == compile_body("<p>Bye</p>")


def test_a_body_that_cannot_be_compiled_leaves_what_was_there():
    template = save_mail()
    template.body = "<mjml><mj-body><mj-txt/></mj-body></mjml>"
    with pytest.raises(InvalidTemplate, match="there is no component “mj-txt”"):
        templates.save_template(template)
    after = Template.objects.get()
    assert (after.body, kept_by(after)) == (BODY, compile_body(BODY))


def test_a_template_that_is_no_mail_any_more_keeps_nothing():
    template = save_mail()
    template.channel = "sms"
    templates.save_template(template)
    after = Template.objects.get()
    assert (kept_by(after), after.compiled_from, after.compiled_by) == (Compiled("", ""), "", "")


def test_a_body_with_entities_no_text_may_have_is_kept():
    template = save_mail(body="<p>a&#0;b&#xD800;c&#x1;</p>")
    assert kept_by(template) == compile_body(template.body)


def test_the_version_before_saves_templates_meanwhile():
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_template (name, channel, subject, preheader, body, text, title,"
            " image_url, link, button, content_type, created_at, updated_at)"
            " VALUES ('old', 'email', 'Hi', '', %s, '', '', '', '', '', '', now(), now())",
            [BODY],
        )
    assert render(Template.objects.get(), ANA).text == "Hi Ana\n"


def test_the_compiler_has_another_name_when_it_makes_something_else():
    """Failed? Then mails that are kept would be sent as they were: count up `COMPILER`."""
    loop = "<mjml><mj-body><mj-raw>{% for p in slots.picks %}<p>{{ p.name }}</p>{% endfor %}"
    bodies = (
        BODY,
        f"<!-- May -->{loop}</mj-raw></mj-body></mjml>",
        "<table>{% for p in slots.picks %}<tr><td>{{ p.name }}</td></tr>{% endfor %}</table>",
        '<a href="https://s.example/?c={{ Profile.City }}">{{${x}}}</a> {{ preheader }}',
    )
    made = "\0".join(f"{made.html}\0{made.text}" for made in map(compile_body, bodies))
    assert (COMPILER, hashlib.sha256(made.encode()).hexdigest()[:16]) == (
        "1, mjml 1.4.2, css-inline 0.23.1",
        "1c7cb9d7e8c039b2",
    )
