import pytest

from campaigns.errors import TemplateAborted, TemplateFailed
from campaigns.language import find_error, list_names, parse
from campaigns.liquid.dialect import translate


@pytest.mark.parametrize(
    ("pasted", "understood"),
    [
        ("{{${first_name}}}", "{{profile.first_name}}"),
        ("{{ ${first_name} | default: 'you' }}", "{{ profile.first_name | default: 'you' }}"),
        ("{{${email_address}}}", "{{profile.email}}"),
        ("{{ ${phone_number} }}", "{{ profile.phone }}"),
        ("{{${set_user_to_unsubscribed_url}}}", "{{unsubscribe_url}}"),
        ("{{custom_attribute.${size}}}", "{{profile.size}}"),
        ("{{custom_attribute.${shoe size} | upcase}}", '{{profile["shoe size"] | upcase}}'),
        ("{{campaign.${name}}}", "{{campaign.name}}"),
        ("{% if ${country} == 'DE' %}", "{% if profile.country == 'DE' %}"),
        ("{% if custom_attribute.${vip} %}", "{% if profile.vip %}"),
        ("{{ Profile.Email }}", "{{ profile.Email }}".replace("Email", "email")),
        ('{% if Profile.PLAN == "gold" %}', '{% if profile.PLAN == "gold" %}'),
        ('{{ Profile["Shoe size"] }}', '{{ profile["Shoe size"] }}'),
        ("{{ Event.Total | default: 0 }}", "{{ event.Total | default: 0 }}"),
        ("{{ Event['Product name'] }}", "{{ event['Product name'] }}"),
        ("{{event_properties.${total}}}", "{{event.total}}"),
        ("{{api_trigger_properties.${order number}}}", '{{event["order number"]}}'),
        (
            "{{ Events.x }} {{ myEvent.x }} {{ Event }}",
            "{{ Events.x }} {{ myEvent.x }} {{ Event }}",
        ),
        ("{{ 'costs ${price}' }}", "{{ 'costs ${price}' }}"),
        ("text ${first_name} and Profile.Name", "text ${first_name} and Profile.Name"),
        ("{% raw %}{{${a}}}{% endraw %}", "{% raw %}{{${a}}}{% endraw %}"),
        ("{{ my.Profile.x }}", "{{ my.Profile.x }}"),
    ],
)
def test_what_people_paste_is_translated(pasted, understood):
    assert translate(pasted) == understood


def test_a_pasted_template_renders():
    source = "Hi {{${first_name} | default: 'you'}}, {{custom_attribute.${shoe size}}}!"
    assert parse(source).render({"profile": {"shoe size": 41}}) == "Hi you, 41!"


def test_lines_stay_where_they_are():
    source = "a\n{{\n${first_name}}}\n{{ ${x} | nofilter }}"
    assert translate(source).count("\n") == source.count("\n")
    assert find_error(source).line == 4
    assert list(list_names("\n{{event_properties.${total}}}")) == [(("event", "total"), 2)]


def test_a_source_of_beginnings_is_read_once():
    assert translate("{{ ${" * 50_000).startswith("{{ ${")


@pytest.mark.parametrize(
    ("tag", "word"),
    [
        ("{% abort_message %}", ""),
        ("{% abort_message() %}", ""),
        ("{% abort_message('no stock') %}", "no stock"),
        ('{%- abort_message( "no\n stock" ) -%}', "no stock"),
        (f"{{% abort_message('{'x' * 300}') %}}", "x" * 100),
    ],
)
def test_a_template_can_abort_its_message(tag, word):
    source = f"a{{% if profile.n == 0 %}}{tag}{{% endif %}}b"
    with pytest.raises(TemplateAborted) as caught:
        parse(source).render({"profile": {"n": 0}})
    assert (caught.value.word, caught.value.code) == (word, "template_abort")
    assert parse(source).render({"profile": {"n": 1}}) == "ab"


@pytest.mark.parametrize("tag", ["{% abort_message(profile.x) %}", "{% abort_message 'a' 'b' %}"])
def test_the_word_of_an_abort_is_a_text_of_the_author(tag):
    with pytest.raises(TemplateFailed, match="abort_message takes one text in quotes"):
        parse(tag)
