import pytest

from campaigns import templates
from campaigns.errors import InvalidTemplate
from campaigns.models import Slot, Template


def lint(channel="email", *, slots=(), known=None, **fields):
    defaults = {"subject": "Hi", "body": "<p>{{ unsubscribe_url }}</p>", "title": "Hi"}
    template = Template(name="May", channel=channel, **(defaults | fields))
    found = templates.lint(
        template, slots=[Slot(**slot) for slot in slots], known_attributes=known
    )
    return [str(p) for p in found.problems], [str(p) for p in found.notices]


def test_a_good_template_has_nothing_to_say():
    assert lint(
        body="{{ unsubscribe_url }}{% for p in slots.picks %}{{ p.name }}{% endfor %}",
        slots=[{"name": "picks"}],
    ) == ([], [])


def test_an_unknown_variable_is_listed_with_its_line():
    problems, _ = lint(body="<p>{{ unsubscribe_url }}</p>\n{{ profil.name }}")
    assert problems == [
        "body, line 2: there is no “profil.name”; a template sees profile, event, slots, "
        "campaign, unsubscribe_url, preheader"
    ]


def test_a_slot_that_is_not_there_is_a_problem_and_one_not_shown_a_notice():
    problems, _ = lint(subject="{{ slots.pick[0].name }}", slots=[{"name": "picks"}])
    assert problems == ["subject, line 1: there is no slot “pick” (known: picks)"]
    _, notices = lint(slots=[{"name": "picks"}])
    assert notices == ["slot picks: is filled but shown nowhere"]


def test_an_attribute_nobody_has_is_a_notice():
    _, notices = lint(subject="Hi {{ profile.frist_name }}", known={"first_name"})
    assert notices == [
        "subject, line 1: no recent profile has “frist_name”: is profile.frist_name a slip?"
    ]


def test_a_mail_without_a_way_out_is_noticed():
    assert lint(body="<p>Hi</p>")[1] == [
        "body: has no {{ unsubscribe_url }}; only the mail's header will have it"
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"subject": " "}, "subject: is empty"),
        ({"subject": "{% if x %}"},
         "subject, line 1: expected tag endif, found end of expression"),
        ({"body": "<mjml><mj-body><mj-txt/></mj-body></mjml>"},
         "body, line 1: there is no component “mj-txt”"),
        ({"channel": "push", "title": ""}, "title: is empty"),
        ({"channel": "in_app", "title": "", "body": ""}, "title: is empty, and so is the body"),
        ({"channel": "inbox", "title": "", "body": "Hi"}, "title: is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_a_problem(fields, problem):
    assert lint(**fields)[0] == [problem]


@pytest.mark.parametrize(
    ("slot", "problem"),
    [
        ({"ladder": ["personal", "magic"]},
         "slot picks, ladder: expected a list of: personal, similar_to_last, "
         "trending_in_category, people_alike, trending, best_sellers, hand_picked"),
        ({"exclude_events": {"Order Completed": "long"}},
         'slot picks, exclude_events: expected {"Order Completed": 365}, in days'),
        ({"minimum": 5, "maximum": 2}, "slot picks, minimum: is above the maximum"),
    ],
)  # fmt: skip
def test_a_slot_that_cannot_be_filled_is_a_problem(slot, problem):
    assert lint(slots=[{"name": "picks", **slot}])[0] == [problem]


def test_a_filter_that_cannot_be_read_names_its_place():
    problems, _ = lint(slots=[{"name": "picks", "filter": {"all": [{"column": "price"}]}}])
    assert len(problems) == 1
    assert problems[0].startswith("slot picks, filter.all[0].op: expected one of")


def test_saving_refuses_what_cannot_be_compiled(db):
    template = Template(name="May", channel="email", subject="Hi", body="{{ x | nofilter }}")
    with pytest.raises(InvalidTemplate, match="there is no filter “nofilter”"):
        templates.save_template(template)
    assert Template.objects.count() == 0
    template.body = "<p>Hi</p>"
    templates.save_template(template)
    assert Template.objects.get().body == "<p>Hi</p>"


LINES = (
    '{"who": {{ person.id | json }}, "name": "{{ profile.first_name }}", "products": ['
    "{% for p in slots.picks %}{{ p.id | json }}{% unless forloop.last %}, {% endunless %}"
    "{% endfor %}]}"
)


def test_a_webhook_is_json_however_many_products_it_has():
    assert lint("webhook", body=LINES, slots=[{"name": "picks"}]) == ([], [])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"a": {{ profile.age }}}', "is not JSON once it is filled, line 1, column 7"),
        ('{"a": 1,}', "is not JSON once it is filled, line 1, column"),
        ("Hello", "is not JSON once it is filled, line 1, column 1"),
        ('{"a": NaN}', "is not JSON once it is filled: NaN is no JSON"),
        ("[{% for p in slots.picks %}{{ p.id | json }},{% endfor %}]", "is not JSON once"),
        ("[{% for p in slots.picks %}{{ p.id | json }}{% endfor %}]", "is not JSON once"),
        ("[" * 30_000, "is not JSON once it is filled"),
        ("{% capture x %}{% endcapture %}1", "body, line 1: unexpected tag 'capture'"),
        (" ", "body: is empty"),
    ],
)
def test_a_webhook_that_is_not_json_once_filled_is_a_problem(body, problem):
    [found] = lint("webhook", body=body, slots=[{"name": "picks", "maximum": 3}])[0]
    assert problem in found


def test_a_webhook_may_abort_for_the_person_it_is_tried_for():
    body = "{% unless profile.first_name %}{% abort_message %}{% endunless %}{}"
    assert lint("webhook", body=body) == ([], [])


def test_only_a_webhook_knows_the_persons_id():
    assert "there is no “person.id”" in lint("sms", body="{{ person.id }} STOP")[0][0]


def test_an_sms_that_does_not_say_how_to_end_it_is_noticed():
    assert lint("sms", body="Sale!")[1] == [
        "body: does not say how to end it, such as “Reply STOP to end”"
    ]
    assert lint("sms", body="Sale! Reply STOP to end") == ([], [])


def test_what_was_pasted_is_judged_like_the_rest():
    problems, _ = lint(subject="Hi {{${first_name}}}", text="\n{{canvas_entry.${total}}}")
    assert problems == [
        "text, line 2: there is no “canvas_entry.total”; a template sees profile, event, slots, "
        "campaign, unsubscribe_url, preheader"
    ]
    _, notices = lint(subject="{{custom_attribute.${shoe size} | default: 'x'}}", known={"plan"})
    assert notices == [
        "subject, line 1: no recent profile has “shoe size”: is profile.shoe size a slip?"
    ]


def test_an_attribute_printed_without_a_default_is_a_notice():
    _, notices = lint(subject="Hi\n{{${first_name} | upcase}}", known={"first_name"})
    assert notices == [
        "subject, line 2: profile.first_name may be missing: say what stands there then, such as "
        '{{ profile.first_name | default: "…" }}'
    ]


@pytest.mark.parametrize(
    "subject",
    [
        "Hi {{ profile.first_name | default: 'you' }}",
        "{% if profile.first_name %}Hi {{ profile.first_name }}{% endif %}",
        "{% unless a == 1 %}{% elsif profile.first_name %}{{ profile.first_name }}{% endunless %}",
        "{% case profile.plan %}{% when 'a' %}{{ profile.plan }}{% endcase %}",
        "{{ campaign.name }} to {{ profile.email }}",
    ],
)
def test_an_attribute_somebody_thought_of_is_no_notice(subject):
    assert lint(subject=subject.replace("a == 1", "campaign.id == 1")) == ([], [])
