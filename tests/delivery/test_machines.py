from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from campaigns import stats
from delivery import chances, links, reports, shown
from delivery import clicks as told
from delivery.models import Interaction
from engage.profiles.models import Event
from tests.factories import NOON, make_message, make_profile, make_run

pytestmark = pytest.mark.django_db
PERSON = {"HTTP_USER_AGENT": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Mobile"}
SHOWN = [{"slot": "picks", "item": item, "rank": n} for n, item in enumerate(("p1", "p2"), 1)]


@pytest.fixture
def run():
    return make_run()


@pytest.fixture
def message(run):
    return make_message(
        profile=make_profile(user_id="ann"),
        state="accepted",
        finished_at=NOON,
        items=SHOWN,
        run_id=run.pk,
        campaign_id=run.campaign_id,
        variant_id=run.campaign.variants.get().pk,
    )


@pytest.fixture
def browser(redis_keys):
    return Client()


def path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def follow(browser, message, item: str, *, after: float):
    url = links.link_token(message, f"https://shop.example/{item}", item=item, position=1)
    with time_machine.travel(NOON + timedelta(seconds=after), tick=False):
        answer = browser.get(path(url), **PERSON)
    assert (answer.status_code, answer["Location"]) == (302, f"https://shop.example/{item}")


def look(browser, message, *, after: float):
    with time_machine.travel(NOON + timedelta(seconds=after), tick=False):
        assert browser.get(path(links.open_url(message)), **PERSON).status_code == 200


def spring(browser, message, *, after: float):
    with time_machine.travel(NOON + timedelta(seconds=after), tick=False):
        assert browser.get(path(links.trap_url(message)), **PERSON).status_code == 200


def clicks(message) -> dict[str, int]:
    """Of people and of machines, as the run's figures count them."""
    figures = reports.run_figures(message.run_id)
    return {"people": figures["clicks"], "machines": figures["machine"]["clicks"]}


def test_a_click_before_anybody_could_read_is_a_machine_s(browser, message):
    follow(browser, message, "p1", after=1.9)
    assert clicks(message) == {"people": 0, "machines": 1}
    assert Event.objects.count() == 0
    follow(browser, message, "p1", after=2.1)
    assert clicks(message)["people"] == 1


def test_a_push_may_be_touched_as_soon_as_it_rings(browser, message):
    message.channel = "push"
    message.save()
    follow(browser, message, "p1", after=1)
    assert clicks(message)["people"] == 1


def test_two_links_at_once_are_followed_by_a_machine(browser, message):
    follow(browser, message, "p1", after=60)
    follow(browser, message, "p2", after=60.9)
    assert clicks(message) == {"people": 0, "machines": 1}
    assert set(Interaction.objects.values_list("machine", flat=True)) == {True}
    follow(browser, message, "p1", after=600)  # later the person comes
    assert clicks(message)["people"] == 1


def test_what_is_found_out_later_never_was_an_event_of_the_person(browser, message):
    follow(browser, message, "p1", after=10)
    told.tell_clicks(NOON + timedelta(seconds=69))
    spring(browser, message, after=69)
    follow(browser, message, "p2", after=200)
    follow(browser, message, "p1", after=200.9)
    assert told.tell_clicks(NOON + timedelta(hours=1)) == 0
    assert Event.objects.count() == 0


def test_a_click_is_an_event_once_no_machine_can_come_out(browser, message):
    follow(browser, message, "p1", after=10)
    assert told.tell_clicks(NOON + timedelta(seconds=75)) == 0
    assert told.tell_clicks(NOON + timedelta(seconds=75.1)) == 1
    event = Event.objects.get()
    assert (event.name, event.ts) == ("Product Clicked", NOON + timedelta(seconds=10))
    assert told.tell_clicks(NOON + timedelta(hours=1)) == 0


def test_who_dies_between_event_and_click_tells_it_once(browser, message):
    follow(browser, message, "p1", after=10)
    [link] = Interaction.objects.filter(kind="click").values_list("untold_link", flat=True)
    for _ in range(2):
        Interaction.objects.filter(kind="click").update(untold_link=link)
        assert told.tell_clicks(NOON + timedelta(minutes=2)) == 1
    assert Event.objects.count() == 1


def test_two_links_one_after_the_other_are_followed_by_a_person(browser, message):
    follow(browser, message, "p1", after=60)
    follow(browser, message, "p2", after=62)
    assert clicks(message) == {"people": 1, "machines": 0}


@pytest.mark.parametrize("order", ["trap first", "trap last"])
def test_who_follows_the_unseen_link_is_a_machine_for_a_minute(browser, message, order):
    if order == "trap first":
        spring(browser, message, after=100)
    follow(browser, message, "p1", after=110)
    if order == "trap last":
        spring(browser, message, after=120)
    assert clicks(message) == {"people": 0, "machines": 1}
    follow(browser, message, "p1", after=300)
    assert clicks(message)["people"] == 1


@pytest.mark.parametrize(
    ("after", "trap_after", "machine"),
    [(0.3, None, True), (10, None, False), (10, 12, True), (10, 8, True), (10, 71, False)],
)
def test_an_open_is_a_machine_s_by_the_same_signs(browser, message, after, trap_after, machine):
    if trap_after is not None and trap_after < after:
        spring(browser, message, after=trap_after)
    look(browser, message, after=after)
    if trap_after is not None and trap_after > after:
        spring(browser, message, after=trap_after)
    made = Interaction.objects.exclude(kind="trap").values_list("machine", flat=True)
    assert set(made) == {machine}
    look(browser, message, after=300)
    assert Interaction.objects.filter(kind="open", machine=False).count() == 1


def test_the_trap_of_one_message_says_nothing_of_another(browser, message):
    profile = make_profile(user_id="bob")
    other = make_message(profile=profile, state="accepted", run_id=message.run_id)
    spring(browser, message, after=100)
    follow(browser, other, "p1", after=101)
    assert clicks(message)["people"] == 1


def test_a_forged_trap_leads_nowhere(browser, message):
    token = path(links.open_url(message)).removeprefix("/t/o/")
    assert browser.get(f"/t/n/{token}").status_code == 404
    assert Interaction.objects.count() == 0


def test_machines_are_left_out_everywhere_and_counted_in_by_a_switch(browser, run, message):
    follow(browser, message, "p1", after=60)
    follow(browser, message, "p2", after=60.5)
    people, all_of_them = stats.run_page(run), stats.run_page(run, machines=True)
    for page, count in ((people, 0), (all_of_them, 1)):
        assert page["figures"]["clicks"] == count
        assert [one["clicks"] for one in page["variants"]] == [count]
        assert [one["clicked"] for one in page["products"]] == [count] * 2 * count
    assert reports.count_shown() == (0, 0)
    [showings] = shown.list_shown([message.profile_id], now=NOON + timedelta(minutes=5))
    assert {one.clicked_ms for one in showings.values()} == {0}
    assert chances.count([run.campaign_id], since=NOON - timedelta(days=1)) == []
