"""A marketer in a real browser: logs in, launches a campaign, and sees what became of it."""

import re
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from django.contrib.auth.models import Group, User

from campaigns import fanout, runs, sending
from campaigns.models import Run
from catalog import snapshot
from catalog.models import Product
from delivery.channels import registry
from delivery.models import Message
from engage.lib import clock
from engage.roles import MARKETER
from recommendations import hand_picked, shelf
from recommendations.models import HandPicked
from tests.factories import (
    make_campaign,
    make_catalog,
    make_profile,
    make_segment,
    make_slot,
    make_template,
)
from tests.providers.smtp import SmtpSink

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_keys"),
]
PASSWORD = "correct horse battery"
BODY = """<p>Hello {{ profile.first_name }}</p>
{% for item in slots.picks %}<a href="{{ item.link }}">{{ item.name }}</a>{% endfor %}
<a href="{{ unsubscribe_url }}">Leave</a>"""


@pytest.fixture(autouse=True)
def own_place(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    forget_everything()
    yield
    forget_everything()


def forget_everything() -> None:
    for remembering in (snapshot, shelf, hand_picked):
        remembering.forget()
    registry.forget_channels()


@pytest.fixture
def campaign(transactional_db):
    """Six people who may be written to, one who may not, and a mail with two products."""
    make_catalog(products=5)
    Product.objects.update(image_url="/static/engage/icon.svg")
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3"])
    for number in range(6):
        make_profile(
            user_id=f"u{number}",
            email=f"u{number}@mail.example",
            opted_in=("email",),
            first_name=f"N{number}",
            country="DE",
        )
    make_profile(user_id="quiet", email="quiet@mail.example", country="DE")
    template = make_template(name="Weekly picks", body=BODY)
    make_slot(template=template, maximum=2)
    segment = make_segment(name="Germany", rule={"attribute": "country", "op": "=", "value": "DE"})
    return make_campaign(name="Weekly picks", template=template, segment=segment)


@pytest.fixture
def marketer(transactional_db) -> User:
    person = User.objects.create_user("maria", password=PASSWORD, is_staff=True)
    person.groups.add(Group.objects.get_or_create(name=MARKETER)[0])
    return person


def log_in(page, home: str) -> None:
    page.goto(f"{home}/admin/")
    page.fill("#id_username", "maria")
    page.fill("#id_password", PASSWORD)
    page.click("#login-form button[type=submit]")
    page.wait_for_selector("#dashboard")


def work() -> None:
    """What the workers do between two looks at the page."""
    now = clock.now()
    for run in Run.objects.filter(state=Run.State.PLANNING):
        while fanout.plan_chunk(run.pk, now=now, limit=100):
            pass
    while sending.send_chunk("email", now=now).claimed:
        pass
    runs.finish_done(now)


def test_marketer_launches_a_campaign_and_sees_its_figures(
    live_server, page, eye, marketer, campaign, client, settings, tmp_path
) -> None:
    log_in(page, live_server.url)
    assert page.locator(".sign").count() >= 4
    assert "Nothing was sent yet" in page.inner_text("#dashboard")

    page.click("#nav-sidebar-apps >> text=Campaigns >> nth=1")
    page.click("#result_list >> text=Weekly picks")
    page.click("text=Launch…")
    asked = page.inner_text(".question")
    assert "people whose country is DE" in asked
    assert "about 6 people" in asked
    page.dblclick("text=Launch the campaign")
    page.wait_for_selector("#run")
    run = Run.objects.get()  # one, of two clicks

    sink = SmtpSink(tmp_path / "mail.jsonl")
    with sink.running():
        settings.SMTP_URL = f"smtp://127.0.0.1:{sink.port}"
        work()
    assert len(sink.seen) == 6

    minute_ago = clock.now() - timedelta(minutes=1)  # a person needs time to read
    Message.objects.filter(state="accepted").update(finished_at=minute_ago)
    html = message_from_bytes(sink.seen[0][1], policy=policy.default).get_body(("html",))
    link = re.search(r'https?://[^/]+(/t/c/[^"]+)"', html.get_content())
    assert client.get(link[1]).status_code in {302, 303}

    page.goto(f"{live_server.url}/admin/campaigns/run/{run.pk}/change/")
    figures = {
        key: page.inner_text(f"#figure-{key} .value")
        for key in ("planned", "accepted", "held", "clicked")
    }
    assert figures == {"planned": "7", "accepted": "6", "held": "0", "clicked": "1"}
    assert "16.7 %" in page.inner_text("#figure-clicked")
    outcomes = page.inner_text("#outcomes")
    assert "adds up" in outcomes
    assert "no consent" in outcomes
    assert "Product p1" in page.inner_text("#top-products")

    page.goto(f"{live_server.url}/admin/")
    assert "Weekly picks" in page.inner_text("#dashboard")
    assert eye.outside == []
    assert eye.complaints == []


@pytest.mark.parametrize("width", [390, 1360])
def test_pages_fit_the_screen_and_stay_quiet(
    live_server, page, eye, marketer, campaign, width
) -> None:
    page.set_viewport_size({"width": width, "height": 840})
    log_in(page, live_server.url)
    template = campaign.variants.get().template
    for path in (
        "",
        "campaigns/campaign/",
        f"campaigns/campaign/{campaign.pk}/change/",
        f"campaigns/campaign/{campaign.pk}/launch/",
        f"campaigns/segment/{campaign.segment_id}/change/",
        f"campaigns/template/{template.pk}/change/",
        f"campaigns/template/{template.pk}/look/",
        "catalog/product/",
        "catalog/upload/add/",
        "profiles/profile/",
        "engage/messagerow/",
    ):
        page.goto(f"{live_server.url}/admin/{path}")
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width + 1, path
    assert eye.outside == []
    assert eye.complaints == []
