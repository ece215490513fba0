from datetime import time, timedelta
from io import BytesIO

import pytest
import time_machine
from django.test import Client

from campaigns.models.template import Channel
from delivery import links, preferences, suppression
from delivery.models import Interaction, Preference, Topic
from engage.profiles import erasure
from engage.profiles.models import Consent, Merge, Profile
from tests.delivery.sending import claim, mark
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db
FIELD = '--x\r\nContent-Disposition: form-data; name="do"\r\n\r\nleave\r\n--x--\r\n'


@pytest.fixture(autouse=True)
def noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def person():
    return make_profile(user_id="ann", email="ann@shop.example", opted_in=("email", "sms"))


@pytest.fixture
def message(person):
    return make_message(profile=person, state="accepted", topic="offers")


@pytest.fixture
def browser(redis_keys):
    return Client(enforce_csrf_checks=True)


def page_of(message) -> str:
    return "/" + links.unsubscribe_url(message).split("/", 3)[3]


def save(browser, message, **fields: object):
    return browser.post(page_of(message), {"do": "save", **fields})


def topics() -> dict[str, str]:
    return dict(Consent.objects.filter(channel="email").values_list("topic", "status"))


def decide(person, **fields: object):
    make_message(profile=person, **fields)
    [message] = claim()
    [decision] = mark([message], address="ann@shop.example")
    return decision


def test_the_page_shows_what_is_chosen_now(browser, person, message):
    Topic.objects.create(name="news", title="What is new")
    Consent.objects.create(
        profile=person, channel="email", topic="news", status="opted_out", stated_ms=1
    )
    Preference.objects.create(
        profile_id=person.pk, most_a_week=2, quiet_begin=time(22), quiet_end=time(7, 30),
        stated_at=NOON,
    )  # fmt: skip
    answer = browser.get(page_of(message))
    html = answer.content.decode()
    assert '<input type="checkbox" name="topic" value="news"> What is new' in html
    assert '<input type="checkbox" name="topic" value="offers" checked> offers' in html
    assert '<option value="2" selected>Twice a week</option>' in html
    assert 'name="quiet_begin" value="22:00"' in html
    assert 'name="quiet_end" value="07:30"' in html
    assert (answer["Referrer-Policy"], answer["Cache-Control"]) == (
        "no-referrer", "no-store, private",
    )  # fmt: skip
    assert "ann@shop.example" not in html
    assert "<script" not in html


def test_looking_changes_nothing(browser, message):
    for method in (browser.get, browser.head):
        method(page_of(message))
    assert topics() == {"": "opted_in"}
    assert not Preference.objects.exists()
    assert not Interaction.objects.exists()


def test_what_is_saved_is_obeyed_by_the_next_mark(browser, person, message):
    answer = save(
        browser, message, shown=["offers", "news"], topic=["news"], most="1",
        quiet_begin="11:00", quiet_end="13:00",
    )  # fmt: skip
    assert (answer.status_code, answer.headers.get("Location")) == (200, None)
    assert "Saved." in answer.content.decode()
    assert topics() == {"": "opted_in", "offers": "opted_out"}
    kept = Preference.objects.get()
    assert (kept.most_a_week, kept.quiet_begin, kept.quiet_end) == (1, time(11), time(13))
    assert decide(person, topic="offers").reason == "no_consent"
    assert decide(person).until == NOON + timedelta(hours=1)


def test_a_topic_that_was_not_on_the_page_stays_as_it_is(browser, person, message):
    Topic.objects.create(name="news", title="News")
    save(browser, message, shown=["offers"], topic=[])
    save(browser, message, shown=["unheard of"], topic=["unheard of"])
    assert topics() == {"": "opted_in", "offers": "opted_out"}


def test_a_topic_can_be_taken_up_again(browser, person, message):
    save(browser, message, shown=["offers"])
    save(browser, message, shown=["offers"], topic=["offers"])
    assert topics()["offers"] == "opted_in"
    assert type(decide(person, topic="offers")).__name__ == "Allow"


@pytest.mark.parametrize(("length", "days"), [("week", 7), ("month", 30)])
def test_a_pause_holds_messages_until_it_is_over_or_ended(browser, person, message, length, days):
    browser.post(page_of(message), {"do": "pause", "length": length})
    assert Preference.objects.get().paused_until == NOON + timedelta(days=days)
    assert decide(person).reason == "paused_by_person"
    html = browser.get(page_of(message)).content.decode()
    assert "Messages are paused until" in html
    browser.post(page_of(message), {"do": "resume"})
    assert type(decide(person)).__name__ == "Allow"


def test_a_pause_leaves_the_other_wishes_as_they_are(browser, message):
    save(browser, message, most="3")
    browser.post(page_of(message), {"do": "pause", "length": "week"})
    assert Preference.objects.get().most_a_week == 3
    save(browser, message, most="2")
    assert Preference.objects.get().paused_until == NOON + timedelta(days=7)


def test_leaving_everything_ends_every_channel(browser, person, message):
    answer = browser.post(page_of(message), {"do": "leave"})
    assert "You are unsubscribed." in answer.content.decode()
    found = dict(Consent.objects.values_list("channel", "status"))
    ended = ("email", "sms", "push", "web_push", "in_app", "inbox")
    assert found == dict.fromkeys(ended, "opted_out")
    assert {*Channel.values} - {*ended} == {"webhook"}  # it goes to a server, not to the person
    assert suppression.is_suppressed("ann@shop.example", channel="email")
    html = browser.get(page_of(message)).content.decode()
    assert "You get no e-mail from us." in html


def test_who_left_can_come_back(browser, person, message):
    browser.post(page_of(message), {"do": "leave"})
    with time_machine.travel(NOON + timedelta(days=365 * 5), tick=False):
        browser.post(page_of(message), {"do": "return"})
    assert topics()[""] == "opted_in"
    assert type(decide(person)).__name__ == "Allow"


@pytest.mark.parametrize(
    "fields",
    [
        {"most": "9"}, {"most": "many"}, {"quiet_begin": "22:00"}, {"quiet_end": "7"},
        {"quiet_begin": "22:00", "quiet_end": "22:00"}, {"quiet_begin": "x", "quiet_end": "y"},
        {"quiet_begin": "10:00+01:00", "quiet_end": "11:00"},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_and_not_kept(browser, message, fields):
    answer = save(browser, message, shown=["offers"], **fields)
    assert answer.status_code == 400
    assert 'class="note"' in answer.content.decode()
    assert topics() == {"": "opted_in"}
    assert not Preference.objects.exists()


@pytest.mark.parametrize("wish", ["pause", "destroy", ""])
def test_an_unknown_wish_changes_nothing(browser, message, wish):
    assert browser.post(page_of(message), {"do": wish}).status_code == 400
    assert topics() == {"": "opted_in"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        ("broken", "multipart/form-data"),
        ("--x", "multipart/form-data; boundary=x"),
        ("", "text/plain"),
        ("&".join(["a=1"] * 2_000), "application/x-www-form-urlencoded"),
        (FIELD, "multipart/form-data; boundary=x; charset=hex"),
        (FIELD, "multipart/form-data; boundary=x; charset=idna"),
        ("do=pause&length=week&x=" + "x" * 65_536, "application/x-www-form-urlencoded"),
    ],
)
def test_one_click_of_a_mail_program_leaves_whatever_it_sends(
    browser, message, body, content_type
):
    answer = browser.generic("POST", page_of(message), body, content_type=content_type)
    assert (answer.status_code, answer.headers.get("Location")) == (200, None)
    assert topics()["offers"] == "opted_out"


def test_a_form_without_a_length_is_read(browser, message):
    """As some proxies pass it on: taken for empty, it would end what should only rest."""
    body = BytesIO(b"do=pause&length=week")
    answer = browser.generic(
        "POST", page_of(message), CONTENT_TYPE="application/x-www-form-urlencoded",
        **{"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": body},
    )  # fmt: skip
    assert answer.status_code == 200
    assert Preference.objects.get().paused_until == NOON + timedelta(days=7)
    assert topics() == {"": "opted_in"}


def test_half_a_form_changes_nothing(browser, message):
    answer = browser.generic(
        "POST", page_of(message), CONTENT_TYPE="application/x-www-form-urlencoded",
        **{"CONTENT_LENGTH": "20", "wsgi.input": BytesIO(b"d")},
    )  # fmt: skip
    assert answer.status_code == 400
    assert topics() == {"": "opted_in"}


def test_test_mails_have_the_same_way_out(browser, person):
    test = make_message(profile=person, kind="test", run_id=None, state="accepted")
    assert browser.post(page_of(test), {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert topics() == {"": "opted_out"}
    assert decide(person).reason == "no_consent"


def test_texts_of_others_are_shown_as_text(browser, person):
    Topic.objects.create(name='"><script>1</script>', title="<script>alert(1)</script>")
    message = make_message(profile=person, topic="<b>bold</b>")
    html = browser.get(page_of(message)).content.decode()
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_a_forged_token_chooses_for_nobody(browser, message):
    token = page_of(message)
    for number in range(200):
        place = 3 + number % (len(token) - 3)
        letter = "A" if token[place] != "A" else "B"
        forged = token[:place] + letter + token[place + 1 :]
        answer = browser.post(forged, {"do": "leave"} if number % 2 else {})
        assert (answer.status_code, answer.headers.get("Location")) == (404, None)
    assert topics() == {"": "opted_in"}


def test_of_people_who_are_one_the_newest_word_counts(browser, person, message):
    other = make_profile(user_id="bea", email="bea@shop.example", opted_in=("email",))
    Preference.objects.create(
        profile_id=other.pk, paused_until=NOON + timedelta(days=9), most_a_week=1, stated_at=NOON
    )
    Preference.objects.create(
        profile_id=person.pk, most_a_week=5, stated_at=NOON - timedelta(days=1)
    )
    Profile.objects.filter(pk=other.pk).update(merged_into=person.pk)
    Merge.objects.create(winner_id=person.pk, loser_id=other.pk, reason="alias")
    assert preferences.export(person.pk)["most_a_week"] == 1
    assert decide(person).reason == "paused_by_person"
    with time_machine.travel(NOON + timedelta(seconds=1), tick=False):
        browser.post(page_of(message), {"do": "resume"})
    assert type(decide(person)).__name__ == "Allow"


def test_erasure_forgets_wishes_and_the_page_brings_none_back(browser, person, message):
    save(browser, message, most="2")
    url = page_of(message)
    erasure.erase(person.pk, now=NOON)
    assert browser.post(url, {"do": "pause", "length": "week"}).status_code == 200
    assert not Preference.objects.exists()
    assert not Consent.objects.exists()


def test_the_export_of_a_person_has_their_wishes(person):
    assert preferences.export(person.pk) == {}
    Preference.objects.create(
        profile_id=person.pk, most_a_week=2, quiet_begin=time(22), quiet_end=time(7),
        stated_at=NOON,
    )  # fmt: skip
    assert preferences.export(person.pk) == {
        "most_a_week": 2, "quiet_begin": "22:00:00", "quiet_end": "07:00:00",
        "paused_until": None, "stated_at": "2026-11-02T12:00:00+00:00",
    }  # fmt: skip
