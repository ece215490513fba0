import pytest

from campaigns import compose
from campaigns.fanout import new_message
from campaigns.preview import list_costs, preview
from delivery.models import Link, Message
from engage.lib.errors import NotFound
from recommendations.models import HandPicked
from tests.factories import make_campaign, make_catalog, make_profile, make_slot, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shop():
    make_catalog(products=3)
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3"])


def make_mail():
    template = make_template(
        body="<p>{{ profile.first_name }}</p>{% for p in slots.picks %}{{ p.name }}, {% endfor %}"
    )
    make_slot(template=template, ladder=["hand_picked"], maximum=2)
    return template


def test_a_preview_shows_what_would_be_sent_and_leaves_nothing_behind(now):
    template, person = make_mail(), make_profile(first_name="Ana", email="a@x.example")
    shown = preview(template, person.pk, now=now).personal
    assert "<p>Ana</p>Product p1, Product p2, " in shown.content.html
    assert [item["item"] for item in shown.items] == ["p1", "p2"]
    assert (Message.objects.count(), Link.objects.count()) == (0, 0)
    campaign = make_campaign(template=template)
    message = new_message(campaign, campaign.variants.get(), profile_id=person.pk, now=now)
    [draft] = compose.compose([message], now=now)
    assert draft.content.subject == shown.content.subject
    assert draft.content.text == shown.content.text
    assert "<p>Ana</p>Product p1, Product p2, " in draft.content.html


def test_a_preview_says_why_somebody_would_get_nothing(now):
    template = make_template(subject="{{ 1 | divided_by: profile.zero }}")
    shown = preview(template, make_profile(zero=0).pk, now=now).personal
    assert shown.drop == "template_error"
    assert shown.problem == "divided_by: can't divide by 0"


def test_a_preview_says_that_a_template_would_abort(now):
    template = make_template(subject="{% abort_message('not now') %}")
    shown = preview(template, make_profile().pk, now=now).personal
    assert (shown.drop, shown.problem) == ("template_abort", "not now")


def test_cost_of_pins_and_boosts_is_taken_over_the_people_seen_last(now):
    template = make_mail()
    make_profile(), make_profile()
    assert list_costs(template, now=now) == []
    slot = template.slots.get()
    slot.pins = [{"place": 1, "item": "p3"}]  # 1/3 of the best, in the place of p2's 1/2
    slot.save()
    [found] = list_costs(template, now=now)
    assert found.cost.people == 2
    assert found.cost.share == pytest.approx(1 - (1 + 1 / 3) / (1 + 1 / 2))
    assert str(found) == (
        "picks: pins and boosts give up 11 % of relevance (the 2 people seen last)"
    )


def test_a_preview_of_nobody_is_refused(now):
    with pytest.raises(NotFound):
        preview(make_mail(), 7, now=now)
