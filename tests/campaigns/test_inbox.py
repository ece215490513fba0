"""The door for apps that show an inbox: whom it answers, with what, and what it refuses."""

import json
from datetime import timedelta

import pytest
from django.db import OperationalError

from campaigns import launch_facts
from delivery import inbox
from delivery.inbox import Entry
from engage.collector import access
from engage.lib import clock
from engage.lib.ids import uuid7
from engage.profiles.models import Identity
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
EMPTY = {"messages": [], "unread": 0, "next": None}


@pytest.fixture
def key():
    access.forget_keys()
    return access.create_key("app", kind="write")


def put(profile, count=1):
    now = clock.now().replace(microsecond=0)
    entries = [
        Entry(profile.pk, uuid7(), 7, "card", '{"title": {"text": "Hi"}}', f"t{n}",
              now + timedelta(hours=1))
        for n in range(count)
    ]  # fmt: skip
    inbox.store(entries, timeout_seconds=5, now=now)
    return now, sorted((str(one.message_id) for one in entries), reverse=True)


def ask(client, key, **query):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = client.get("/v1/inbox", query, headers=headers)
    return answer.status_code, answer.json()


def text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_message_has_all_that_an_app_needs(client, key):
    now, [message_id] = put(make_profile(user_id="ana"))
    assert ask(client, key, userId="ana") == (200, {
        "messages": [{
            "id": message_id, "campaign": "cmp7", "content_type": "card",
            "content": {"title": {"text": "Hi"}}, "token": "t0",
            "created_at": text(now), "expires_at": text(now + timedelta(hours=1)),
            "read": False, "clicked": False,
        }],
        "unread": 1, "next": None,
    })  # fmt: skip


def test_a_server_key_opens_it_too_and_the_path_may_end_in_a_slash(client):
    access.forget_keys()
    _, [message_id] = put(make_profile(anonymous_id="a1"))
    basic = access.create_key("back office", kind="server")
    answer = client.get(
        "/v1/inbox/", {"anonymousId": "a1"}, headers={"authorization": f"Bearer {basic}"}
    )
    assert [one["id"] for one in answer.json()["messages"]] == [message_id]
    assert answer["Cache-Control"] == "no-store, private"
    assert answer["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("wrong", ["", "wk_wrong"])
def test_without_a_valid_key_nothing_is_said(client, key, wrong):
    put(make_profile(user_id="ana"))
    status, answer = ask(client, wrong, userId="ana")
    assert (status, answer["code"]) == (401, "invalid_write_key")


def test_somebody_unknown_has_an_empty_inbox(client, key):
    put(make_profile(user_id="ana"))
    assert ask(client, key, userId="bob") == (200, EMPTY)
    assert ask(client, key, userId="x" * 5_000) == (200, EMPTY)


def test_a_device_that_another_user_claimed_is_not_answered(client, key):
    owner = make_profile(user_id="ana", anonymous_id="a1")
    Identity.objects.filter(value="a1").update(claimed_by="ana", claimed_ms=1)
    put(owner)
    assert ask(client, key, userId="bob", anonymousId="a1") == (200, EMPTY)
    for mine in ({"userId": "ana", "anonymousId": "a1"}, {"anonymousId": "a1"}):
        assert len(ask(client, key, **mine)[1]["messages"]) == 1


def test_the_user_is_answered_and_not_the_device_they_never_claimed(client, key):
    put(make_profile(anonymous_id="a1"))
    _, [mine] = put(make_profile(user_id="ana"))
    _, answer = ask(client, key, userId="ana", anonymousId="a1")
    assert [one["id"] for one in answer["messages"]] == [mine]


def test_pages_follow_each_other_by_next(client, key):
    _, put_in = put(make_profile(user_id="ana"), count=5)
    found, query = [], {}
    for size in (2, 2, 1):
        _, answer = ask(client, key, userId="ana", limit=2, **query)
        assert (len(answer["messages"]), answer["unread"]) == (size, 5)
        found += [one["id"] for one in answer["messages"]]
        query = {"before": answer["next"]}
    assert (found, answer["next"]) == (put_in, None)


def test_an_answer_has_twenty_messages_unless_more_are_asked_for(client, key):
    put(make_profile(user_id="ana"), count=30)
    assert len(ask(client, key, userId="ana")[1]["messages"]) == 20
    assert len(ask(client, key, userId="ana", limit=100)[1]["messages"]) == 30


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({}, "userId or anonymousId"),
        ({"userId": "a\x00b"}, "NUL"),
        ({"userId": "a", "anonymousId": "\x00"}, "NUL"),
        *(({"userId": "a", "limit": limit}, "limit: expected a whole number from 1 to 100")
          for limit in ("0", "101", "-1", "x", "1.5", "٣", "9" * 5_000)),
        *(({"userId": "a", "before": before}, "before: expected")
          for before in ("x", "1", "2026-11-02", "9" * 17 + "-" + "0" * 32)),
        ({"userId": "a"} | {f"p{n}": "" for n in range(2_000)}, "too many parameters"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(client, key, query, word):
    status, answer = ask(client, key, **query)
    assert (status, answer["code"]) == (400, "invalid_input")
    assert word in answer["message"]


@pytest.mark.parametrize("before", ["0-" + "0" * 32, "9" * 16 + "-" + "f" * 32])
def test_the_farthest_places_are_places(client, key, before):
    put(make_profile(user_id="ana"))
    assert ask(client, key, userId="ana", before=before)[0] == 200


def test_it_is_asked_by_get_alone(client, key):
    answer = client.post("/v1/inbox", json.dumps({"userId": "ana"}), content_type="text/plain")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    preflight = client.options("/v1/inbox")
    assert "GET" in preflight["Access-Control-Allow-Methods"]


def test_a_database_that_is_away_is_said_as_such(client, key, monkeypatch):
    def away(*values):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(launch_facts.OWNER, "fetch_one", away)
    status, answer = ask(client, key, userId="ana")
    assert (status, answer["code"]) == (503, "unavailable")
