"""The door for apps that open: what it takes, answers and refuses."""

import gzip
import json

import pytest
from django.test import RequestFactory

from campaigns import app_launch
from engage.collector import access, ingest
from engage.profiles.models import Device, Event
from recommendations.models import HandPicked
from tests.factories import make_campaign, make_catalog, make_slot, make_template

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]


@pytest.fixture
def key():
    access.forget_keys()
    return access.create_key("app", kind="write")


@pytest.fixture
def live():
    """An in-app campaign with a slot, over four products."""
    make_catalog(products=4)
    HandPicked.objects.create(catalog="default", item_ids=["p1", "p2", "p3", "p4"])
    template = make_template(channel="in_app", title="Hello", button="Look")
    make_slot(template=template, ladder=["hand_picked"], maximum=2)
    return make_campaign(channel="in_app", schedule="launch", state="active", template=template)


def launch(key, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = RequestFactory().post(
        "/v1/app-launch", raw, content_type="text/plain",
        HTTP_AUTHORIZATION=f"Bearer {key}" if key else "", **headers,
    )  # fmt: skip
    response = app_launch.view(request)
    return response.status_code, json.loads(response.content)


def stored():
    while ingest.ingest_once("test"):
        pass
    return list(Event.objects.order_by("ts", "message_id").values_list("name", "user_id"))


def viewed(item="p1", **fields):
    return {
        "type": "track",
        "event": "Product Viewed",
        "properties": {"product_id": item},
    } | fields


def test_events_are_taken_and_the_launch_itself_is_one(key, live):
    body = {"userId": "ana", "batch": [viewed(messageId="m1")]}
    status, answer = launch(key, body)
    assert (status, answer["accepted"], answer["rejected"]) == (200, 2, [])
    assert [one["id"] for one in answer["messages"]] == [f"cmp{live.pk}"]
    assert len(answer["messages"][0]["content"]["items"]) == 2
    assert sorted(stored()) == [("App Launched", "ana"), ("Product Viewed", "ana")]


def test_what_was_bought_in_this_request_is_not_offered(key, live):
    order = {"type": "track", "event": "Order Completed",
             "properties": {"products": [{"product_id": "p1"}, {"product_id": "p2"}]}}  # fmt: skip
    _, answer = launch(key, {"anonymousId": "phone", "batch": [order]})
    items = answer["messages"][0]["content"]["items"]
    assert [item["id"] for item in items] == ["p3", "p4"]


def test_the_device_reaches_the_data_store(key):
    device = {"id": "phone-1", "type": "ios", "token": "tok-1"}
    launch(key, {"userId": "ana", "device": device, "context": {"device": {"model": "x"}}})
    stored()
    row = Device.objects.get()
    assert (row.device_id, row.platform, row.token, row.model) == ("phone-1", "ios", "tok-1", "x")


def test_a_launch_that_the_app_told_itself_is_not_told_twice(key):
    own = {"type": "track", "event": "App Launched", "messageId": "l1"}
    _, answer = launch(key, {"userId": "ana", "batch": [own]})
    assert answer["accepted"] == 1
    assert stored() == [("App Launched", "ana")]


def test_a_launch_with_a_message_id_is_stored_once_when_it_comes_again(key):
    for _ in range(2):
        assert launch(key, {"userId": "ana", "messageId": "l1"})[1]["accepted"] == 1
    assert stored() == [("App Launched", "ana")]


def test_one_bad_event_costs_neither_the_others_nor_the_answer(key, live):
    raw = b'{"userId": "ana", "batch": [{"type": "track"}, {"type": "track", "event": "A", '
    raw += b'"properties": {"x": NaN}}, {"type": "track", "event": "B"}]}'
    status, answer = launch(key, raw)
    assert (status, answer["accepted"], len(answer["messages"])) == (200, 2, 1)
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [
        (0, "no_event_name"),
        (1, "not_a_number"),
    ]


def test_a_packed_body_with_a_key_inside_is_taken(key, live):
    raw = gzip.compress(json.dumps({"userId": 7, "writeKey": key}).encode())
    status, answer = launch("", raw, HTTP_CONTENT_ENCODING="gzip")
    assert (status, answer["accepted"], len(answer["messages"])) == (200, 1, 1)


def test_events_of_somebody_who_logged_out_are_theirs(key, live):
    order = {"type": "track", "event": "Order Completed", "userId": "bo",
             "properties": {"product_id": "p1"}}  # fmt: skip
    _, answer = launch(key, {"userId": "ana", "batch": [order]})
    assert answer["messages"][0]["content"]["items"][0]["id"] == "p1"
    assert sorted(stored()) == [("App Launched", "ana"), ("Order Completed", "bo")]


def test_a_body_that_names_nobody_answers_for_who_did_the_last_event(key, live):
    _, answer = launch(key, {"batch": [viewed(userId="ana")]})
    assert (answer["accepted"], len(answer["messages"])) == (1, 1)
    assert [one["code"] for one in answer["rejected"]] == ["no_identity"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"userId": "a"', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"a":' * 50_000, "invalid_json"),
        (b'{"userId": {}}', "invalid_input"),
        (b'{"userId": true}', "invalid_input"),
        (b'{"userId": 1.5}', "invalid_input"),
        (b'{"userId": "a\\u0000"}', "invalid_input"),
        (b'{"userId": "\\ud800"}', "invalid_input"),
        (b'{"userId": "a", "device": []}', "invalid_input"),
        (b'{"userId": "a", "context": "x"}', "invalid_input"),
        (b'{"userId": "a", "seen": [1]}', "invalid_input"),
        (b'{"userId": "a", "batch": {}}', "invalid_input"),
        (b'{"userId": "a", "context": ' + b'{"x":' * 60 + b"1" + b"}" * 61, "invalid_input"),
        (b"{}", "no_identity"),
        (b'{"userId": "null"}', "reserved_id"),
        (b'{"userId": "' + b"a" * 300 + b'"}', "id_too_long"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_a_sentence(key, live, body, code):
    status, answer = launch(key, body)
    assert (status, answer["success"], answer["code"]) == (400, False, code)
    assert answer["message"]
    assert stored() == []


def test_every_bad_member_is_named_at_once(key):
    _, answer = launch(key, {"userId": [], "device": 3, "seen": "x"})
    assert answer["message"] == (
        "userId: expected a text or a whole number (invalid_id); "
        "device: expected an object (invalid_object); seen: expected a list of at most 200 texts"
    )


def test_without_a_valid_key_nothing_is_taken(live, key):
    for wrong in ("", "wk_wrong"):
        status, answer = launch(wrong, {"userId": "ana"})
        assert (status, answer["code"]) == (401, "invalid_write_key")
    assert stored() == []


def test_only_post_is_answered(key):
    response = app_launch.view(RequestFactory().get("/v1/app-launch"))
    assert response.status_code == 405


def test_an_app_says_what_it_holds_and_hears_what_is_over(key, live):
    _, answer = launch(key, {"userId": "ana", "seen": [f"cmp{live.pk}", "cmp999"]})
    assert answer["stale"] == ["cmp999"]
