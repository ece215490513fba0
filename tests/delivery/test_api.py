from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client

from delivery import links, marking, suppression
from delivery.clicks import tell_clicks
from delivery.models import Interaction, Message, Suppression
from delivery.policy import Drop
from engage.lib import clock
from engage.profiles.activity import get_touches
from engage.profiles.models import Consent, Event, Profile
from tests.delivery.sending import claim, make_draft, mark
from tests.factories import make_message, make_profile

pytestmark = pytest.mark.django_db
PERSON = {"HTTP_USER_AGENT": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Mobile"}
SHOWN = [
    {"slot": "picks", "item": "p1", "rank": 1, "rung": "personal", "source": "similar"},
    {"slot": "picks", "item": "p2", "rank": 2, "rung": "trending", "source": "trend"},
]


@pytest.fixture
def person():
    return make_profile(user_id="ann", email="ann@shop.example", opted_in=("email",))


@pytest.fixture
def message(person):
    return make_message(profile=person, state="accepted", items=SHOWN, run_id=4)


@pytest.fixture
def browser(redis_keys):
    return Client(enforce_csrf_checks=True)


def path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def click_path(message, *, item: str = "p2", position: int | None = 2) -> str:
    url = links.link_token(message, "https://shop.example/p2", item=item, position=position)
    return path(url)


def deeds(**fields: object) -> list[tuple]:
    rows = Interaction.objects.filter(**fields).order_by("kind", "item_id")
    return list(rows.values_list("kind", "item_id", "position", "machine"))


def tables() -> list[int]:
    return [model.objects.count() for model in (Consent, Suppression, Interaction, Event, Message)]


def test_a_click_is_counted_for_its_product_and_leads_to_the_shop(browser, message):
    for _ in range(2):
        answer = browser.get(click_path(message), **PERSON)
    assert (answer.status_code, answer["Location"]) == (302, "https://shop.example/p2")
    assert (answer["Referrer-Policy"], answer["Cache-Control"]) == (
        "no-referrer", "no-store, private",
    )  # fmt: skip
    assert deeds() == [
        ("click", "p2", 2, False),
        ("impression", "", None, False),
        ("impression", "p1", 1, False),
        ("impression", "p2", 2, False),
    ]


def test_a_click_becomes_an_event_of_the_person(browser, message, person):
    for _ in range(2):
        browser.get(click_path(message), **PERSON)
    assert Event.objects.count() == 0
    tell_clicks(clock.now() + timedelta(minutes=2))
    event = Event.objects.get(profile_id=person.pk)
    assert (event.name, event.properties["product_id"], event.properties["position"]) == (
        "Product Clicked", "p2", 2,
    )  # fmt: skip
    [touch] = get_touches([person.pk])[person.pk]
    assert (touch.item, touch.event) == ("p2", "Product Clicked")


def test_a_click_on_no_product_is_a_click_of_the_message(browser, message, person):
    browser.get(click_path(message, item="", position=None), **PERSON)
    assert deeds(kind="click") == [("click", "", None, False)]
    tell_clicks(clock.now() + timedelta(minutes=2))
    assert Event.objects.get(profile_id=person.pk).name == "Link Clicked"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("head", PERSON),
        ("get", {"HTTP_USER_AGENT": "Mozilla/5.0 (compatible; Googlebot/2.1)"}),
        ("get", {"HTTP_USER_AGENT": "Barracuda Sentinel (EE)"}),
        ("get", {"HTTP_USER_AGENT": "Mozilla/5.0"}),
        ("get", {**PERSON, "HTTP_SEC_PURPOSE": "prefetch;prerender"}),
        ("get", {**PERSON, "HTTP_X_MOZ": "prefetch"}),
    ],
)
def test_machines_are_led_on_and_counted_apart(browser, message, method, headers):
    answer = getattr(browser, method)(click_path(message), **headers)
    assert answer.status_code == 302
    assert deeds() == [("click", "p2", 2, True)]
    assert Event.objects.count() == 0
    browser.get(click_path(message), **PERSON)
    assert deeds(kind="click", machine=False) == [("click", "p2", 2, False)]


def test_an_open_shows_the_message_and_its_products(browser, message):
    for _ in range(2):
        answer = browser.get(path(links.open_url(message)), **PERSON)
    assert (answer.status_code, answer["Content-Type"], len(answer.content)) == (
        200, "image/gif", 43,
    )  # fmt: skip
    assert deeds() == [
        ("impression", "", None, False),
        ("impression", "p1", 1, False),
        ("impression", "p2", 2, False),
        ("open", "", None, False),
    ]


def test_an_open_by_a_machine_shows_nothing_to_anybody(browser, message):
    browser.get(path(links.open_url(message)), HTTP_USER_AGENT="Mozilla/5.0")
    assert deeds() == [("open", "", None, True)]


def test_get_and_head_of_the_way_out_change_nothing(browser, message):
    before = tables()
    answer = browser.get(path(links.unsubscribe_url(message)), **PERSON)
    browser.head(path(links.unsubscribe_url(message)))
    assert answer.status_code == 200
    assert '<form method="post"><button type="submit">Unsubscribe</button></form>' in (
        answer.content.decode()
    )
    assert tables() == before


@pytest.mark.parametrize("body", [{}, {"List-Unsubscribe": "One-Click"}, {"anything": "else"}])
def test_post_unsubscribes_before_the_next_mark(browser, message, person, body):
    make_message(profile=person)
    [next_one] = claim()
    answer = browser.post(path(links.unsubscribe_url(message)), body)
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.content.decode()
    consent = Consent.objects.get(profile=person, channel="email")
    assert (consent.status, consent.source) == ("opted_out", "unsubscribe link")
    assert suppression.is_suppressed("ann@shop.example", channel="email")
    [decision] = mark([next_one])
    assert decision.reason == "no_consent"
    assert deeds(kind="unsubscribe") == [("unsubscribe", "", None, False)]


def test_unsubscribing_twice_counts_once(browser, message):
    for _ in range(2):
        assert browser.post(path(links.unsubscribe_url(message))).status_code == 200
    assert len(deeds(kind="unsubscribe")) == 1


def test_unsubscribing_from_a_topic_leaves_the_others(browser, person):
    message = make_message(profile=person, topic="offers", state="accepted")
    browser.post(path(links.unsubscribe_url(message)))
    rows = Consent.objects.filter(profile=person).values_list("topic", "status")
    assert sorted(rows) == [("", "opted_in"), ("offers", "opted_out")]
    assert not suppression.is_suppressed("ann@shop.example", channel="email")


def test_the_way_out_works_when_message_or_person_are_gone(browser, message, person):
    url = path(links.unsubscribe_url(message))
    Message.objects.all().delete()
    assert browser.post(url).status_code == 200
    assert Consent.objects.get(profile=person, channel="email").status == "opted_out"
    Profile.objects.filter(pk=person.pk).update(attributes={})
    Consent.objects.all().delete()
    assert browser.post(url).status_code == 200


def test_an_address_shared_by_two_people_is_suppressed_for_both(browser, message):
    other = make_profile(email="ANN@shop.example", opted_in=("email",))
    make_message(profile=other)
    browser.post(path(links.unsubscribe_url(message)))
    [next_one] = claim()
    marked = marking.mark(
        [next_one], [make_draft(next_one, address="ANN@shop.example")],
        token=next_one.lease_token, call_seconds=20, now=next_one.not_before,
    )  # fmt: skip
    assert marked.decisions[next_one.id].reason == "address_suppressed"


@pytest.mark.parametrize("door", ["/t/c/", "/t/o/", "/u/"])
@pytest.mark.parametrize("token", ["x", "A" * 200, "../../etc", "%00", "a/b", "é"])
def test_forged_tokens_find_a_friendly_nothing(browser, message, door, token):
    before = tables()
    for answer in (browser.get(f"{door}{token}"), browser.post(f"/u/{token}")):
        assert answer.status_code == 404
        assert "Location" not in answer
    assert tables() == before


def test_a_token_of_another_door_opens_nothing(browser, message):
    click, out = click_path(message), path(links.unsubscribe_url(message))
    before = tables()
    assert browser.post(click.replace("/t/c/", "/u/")).status_code == 404
    assert browser.get(out.replace("/u/", "/t/c/")).status_code == 404
    assert tables() == before


def test_a_click_on_an_erased_persons_mail_still_leads_to_the_shop(browser, message):
    url = click_path(message)
    Message.objects.all().delete()
    assert browser.get(url, **PERSON)["Location"] == "https://shop.example/p2"
    assert Interaction.objects.count() == 0


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options"])
def test_other_methods_are_not_known(browser, message, method):
    answer = getattr(browser, method)(path(links.unsubscribe_url(message)))
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, POST")
    assert browser.post(click_path(message)).status_code == 405


def test_a_topic_is_shown_as_text(browser, person):
    message = make_message(profile=person, topic="<script>alert(1)</script>")
    page = browser.get(path(links.unsubscribe_url(message))).content.decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("https://shop.example/über", "https://shop.example/%C3%BCber"),
        ("https://shop.example/商品?q=é", "https://shop.example/%E5%95%86%E5%93%81?q=%C3%A9"),
        ("https://shop.example/a%20b?x=1&y=[2]", "https://shop.example/a%20b?x=1&y=[2]"),
    ],
)
def test_a_click_leads_to_addresses_with_any_letters(browser, message, target, location):
    answer = browser.get(path(links.link_token(message, target)), **PERSON)
    assert (answer.status_code, answer["Location"]) == (302, location)


def test_a_click_leads_on_when_it_cannot_be_kept(browser, message, monkeypatch):
    def deadlock(*args, **kwargs):
        raise OperationalError("deadlock detected")

    monkeypatch.setattr("delivery.interactions.add", deadlock)
    answer = browser.get(click_path(message), **PERSON)
    assert (answer.status_code, answer["Location"]) == (302, "https://shop.example/p2")
    assert Interaction.objects.count() == 0


@pytest.mark.parametrize("topic", ["", "news"])
def test_who_leaves_has_left_also_after_an_opt_in_of_a_clock_ahead(browser, person, topic):
    ahead = clock.to_millis(clock.now() + timedelta(hours=20))
    Consent.objects.filter(profile=person).update(stated_ms=ahead)
    Consent.objects.create(
        profile=person, channel="email", topic="news", status="opted_in", stated_ms=ahead
    )
    message = make_message(profile=person, state="accepted", topic=topic)
    assert browser.post(path(links.unsubscribe_url(message))).status_code == 200
    [consent] = Consent.objects.filter(topic=topic)
    assert (consent.status, consent.stated_ms) == ("opted_out", ahead)
    make_message(profile=person, topic=topic)
    [decision] = mark(claim())
    assert decision == Drop("no_consent")


def test_while_the_database_is_away_every_door_says_come_again(browser, message, monkeypatch):
    doors = [
        ("get", click_path(message)),
        ("get", path(links.open_url(message))),
        ("get", path(links.trap_url(message))),
        ("get", path(links.unsubscribe_url(message))),
        ("post", path(links.unsubscribe_url(message))),
    ]

    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError("connection refused: ann@shop.example")

    monkeypatch.setattr(connection, "cursor", away)
    answers = [getattr(browser, method)(door, **PERSON) for method, door in doors]
    monkeypatch.undo()
    assert [answer.status_code for answer in answers] == [503] * len(doors)
    assert {answer["Retry-After"] for answer in answers} == {"60"}
    assert "again in a minute" in answers[0].content.decode()
    assert not any(b"ann@shop.example" in answer.content for answer in answers)
    assert Consent.objects.get(channel="email").status == "opted_in"
