"""The contract of the SDK doors, to the letter."""

import base64
import gzip
import json
import zlib

import pytest

from engage.collector import access, stream
from engage.lib import redis

EVENT = {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": "m1"}


def post(client, path, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.generic("POST", path, raw, headers=headers)


def entries():
    return redis.client().xrange(stream.name())


def test_batch_is_answered_200_with_json(client, write_key):
    answer = post(client, "/v1/batch", {"writeKey": write_key, "batch": [EVENT]})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == {"success": True, "accepted": 1, "rejected": []}
    assert len(entries()) == 1


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "word",
    ["track", "identify", "page", "screen", "group", "alias", "t", "i", "p", "s", "g", "a"],
)
def test_every_path_takes_one_event(client, write_key, word, slash):
    body = EVENT | {"writeKey": write_key, "groupId": "g1", "previousId": "a1"}
    answer = post(client, f"/v1/{word}{slash}", body)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/batch/", "/v1/b", "/v1/b/"])
def test_every_path_takes_a_batch(client, write_key, path):
    answer = post(client, path, {"writeKey": write_key, "batch": [EVENT, EVENT]})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)


def test_one_bad_event_does_not_fail_its_batch(client, write_key):
    bad = {"type": "track", "event": "Viewed"}
    answer = post(client, "/v1/batch", {"writeKey": write_key, "batch": [EVENT, bad, EVENT]})
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "accepted": 2,
        "rejected": [
            {"index": 1, "code": "no_identity", "message": "userId or anonymousId is needed."}
        ],
    }


def test_batch_of_bad_events_alone_leaves_no_entry(client, write_key):
    answer = post(client, "/v1/batch", {"writeKey": write_key, "batch": [{"type": "track"}]})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
    assert entries() == []


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        lambda key: basic(f"{key}:"),
        lambda key: basic(key),
        lambda key: basic(f"{key}:password"),
        lambda key: f"Bearer {key}",
        lambda key: f"bearer  {key}",
    ],
)
def test_key_may_come_in_the_header(client, write_key, header):
    answer = post(client, "/v1/batch", {"batch": [EVENT]}, authorization=header(write_key))
    assert answer.status_code == 200


def test_key_in_the_body_counts_beside_a_foreign_bearer(client, write_key):
    body = {"writeKey": write_key, "batch": [EVENT]}
    assert post(client, "/v1/batch", body, authorization="Bearer oauth").status_code == 200


@pytest.mark.parametrize("key", [None, "", "wk_wrong", "x" * 300, "ключ", 7, "a\u0000b"])
def test_wrong_key_is_refused_in_the_words_of_every_client(client, db, key):
    answer = post(client, "/v1/batch", {"writeKey": key, "batch": [EVENT]})
    assert answer.status_code == 401
    said = answer.json()
    assert said["success"] is False
    assert said["code"] == "invalid_write_key"
    assert said["message"] == "The write key is missing, unknown, expired or revoked."
    assert said["detail"]
    assert entries() == []


@pytest.mark.parametrize("header", ["Basic", "Basic ???", "Basic /w==", "Digest x", "Bearer"])
def test_unreadable_authorization_is_no_key(client, db, header):
    answer = post(client, "/v1/batch", {"batch": [EVENT]}, authorization=header)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", ""]
)
def test_body_is_json_whatever_its_type_says(client, write_key, content_type):
    body = json.dumps({"writeKey": write_key, "batch": [EVENT]})
    answer = client.generic("POST", "/v1/batch", body, content_type=content_type)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
def test_packed_body_is_unpacked(client, write_key, encoding, pack):
    body = json.dumps({"writeKey": write_key, "batch": [EVENT]}).encode()
    answer = post(client, "/v1/batch", pack(body), content_encoding=encoding)
    assert answer.json()["accepted"] == 1
    assert entries()[0][1][b"b"] == body


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "invalid_json"),
        (b"{", {}, 400, "invalid_json"),
        (b'{"batch": [{"type": }]}', {}, 400, "invalid_json"),
        (b'{"batch": [{}, ]}', {}, 400, "invalid_json"),
        (b'{"batch": []} {}', {}, 400, "invalid_json"),
        (b"\xff\xfe{", {}, 400, "invalid_json"),
        (b"[]", {}, 400, "invalid_json"),
        (b"{}", {}, 400, "invalid_batch"),
        (b'{"batch": {}}', {}, 400, "invalid_batch"),
        (b'{"batch": null}', {}, 400, "invalid_batch"),
        (b"not gzip", {"content_encoding": "gzip"}, 400, "unreadable_body"),
        (gzip.compress(b"{}")[:-4], {"content_encoding": "gzip"}, 400, "unreadable_body"),
        (gzip.compress(b"{}") + b"x", {"content_encoding": "gzip"}, 400, "unreadable_body"),
        (b"{}", {"content_encoding": "br"}, 415, "unsupported_encoding"),
        (b" " * 500_001, {}, 413, "body_too_large"),
        (gzip.compress(b" " * 500_001), {"content_encoding": "gzip"}, 413, "body_too_large"),
        (gzip.compress(b"0" * 50_000_000), {"content_encoding": "gzip"}, 413, "body_too_large"),
        (b'{"batch":[' + b"{}," * 2500 + b"{}]}", {}, 413, "too_many_events"),
    ],
)
def test_body_that_cannot_be_taken_is_refused_whole(client, db, body, headers, status, code):
    answer = post(client, "/v1/batch", body, **headers)
    said = answer.json()
    assert (answer.status_code, said["success"], said["code"]) == (status, False, code)
    assert said["message"]
    assert said["detail"]


def test_batch_of_exactly_the_most_events_is_taken(client, write_key):
    body = {
        "writeKey": write_key,
        "batch": [{"type": "track", "event": "e", "userId": "u"}] * 2500,
    }
    assert post(client, "/v1/batch", body).json()["accepted"] == 2500


def test_event_over_32_kb_is_refused_alone(client, write_key):
    large = EVENT | {"properties": {"text": "x" * 33_000}}
    answer = post(client, "/v1/batch", {"writeKey": write_key, "batch": [large, EVENT]})
    assert answer.json()["accepted"] == 1
    assert answer.json()["rejected"][0] == {
        "index": 0, "code": "event_too_large", "message": "The event is larger than 32 KB."
    }  # fmt: skip


def test_preflight_allows_what_browsers_send(client):
    answer = client.options("/v1/t")
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "*"
    allowed = answer["Access-Control-Allow-Headers"]
    assert {"Authorization", "Content-Type", "X-Retry-Count"} <= set(allowed.split(", "))


def test_answers_are_open_to_every_origin(client, write_key):
    good = post(client, "/v1/batch", {"writeKey": write_key, "batch": [EVENT]})
    bad = post(client, "/v1/batch", b"{")
    assert good["Access-Control-Allow-Origin"] == bad["Access-Control-Allow-Origin"] == "*"


def test_get_is_not_how_events_are_sent(client):
    answer = client.get("/v1/track")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_full_stream_answers_429_and_says_when_to_come_again(client, write_key, settings):
    settings.STREAM_MAX_ENTRIES = 2
    body = {"writeKey": write_key, "batch": [EVENT]}
    assert [post(client, "/v1/batch", body).status_code for _ in range(2)] == [200, 200]
    answer = post(client, "/v1/batch", body)
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
    assert answer["Retry-After"] == answer["X-RateLimit-Reset"] == "5"
    assert len(entries()) == 2


def test_stream_that_was_full_takes_events_once_there_is_room(client, write_key, settings):
    settings.STREAM_MAX_ENTRIES = 1
    body = {"writeKey": write_key, "batch": [EVENT]}
    assert [post(client, "/v1/batch", body).status_code for _ in range(2)] == [200, 429]
    redis.client().delete(stream.name())
    assert post(client, "/v1/batch", body).status_code == 200


def test_redis_with_too_much_in_memory_answers_429_until_there_is_room(
    client, write_key, settings
):
    settings.REDIS_MAX_BYTES = 1
    body = {"writeKey": write_key, "batch": [EVENT]}
    first, answer = (post(client, "/v1/batch", body) for _ in range(2))
    assert first.status_code == 200  # this process had not looked before
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
    assert answer["Retry-After"] == answer["X-RateLimit-Reset"] == "5"
    assert len(entries()) == 1

    settings.REDIS_MAX_BYTES = 10**12
    assert post(client, "/v1/batch", body).status_code == 200


def test_full_stream_that_cannot_say_how_long_it_is_answers_503(client, write_key, settings):
    settings.STREAM_MAX_ENTRIES = 1
    body = {"writeKey": write_key, "batch": [EVENT]}
    assert [post(client, "/v1/batch", body).status_code for _ in range(2)] == [200, 429]
    redis.client().set(stream.name(), "as good as a Redis that still loads its file")
    assert post(client, "/v1/batch", body).status_code == 503
    redis.client().delete(stream.name())
    assert post(client, "/v1/batch", body).status_code == 200


def test_memory_is_asked_for_after_so_many_bytes(client, write_key, monkeypatch):
    monkeypatch.setattr(stream, "LOOK_EVERY_BYTES", 1_000)
    body = {"writeKey": write_key, "batch": [EVENT]}
    post(client, "/v1/batch", body)
    seen = stream.Fill.memory
    assert seen > 100_000  # an empty Redis uses more
    redis.client().set(redis.key("ballast"), b"x" * 5_000_000)
    post(client, "/v1/batch", body)
    assert stream.Fill.memory == seen
    for _ in range(10):
        post(client, "/v1/batch", body)
    assert stream.Fill.memory > seen + 4_000_000


def test_absent_queue_answers_503_and_says_when_to_come_again(client, write_key, redis_away):
    answer = post(client, "/v1/batch", {"writeKey": write_key, "batch": [EVENT]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer["Retry-After"] == "5"


def test_queue_that_cannot_write_answers_503(client, write_key):
    redis.client().set(stream.name(), "not a stream")
    answer = post(client, "/v1/batch", {"writeKey": write_key, "batch": [EVENT]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_entry_holds_the_body_and_who_sent_it(client, write_key):
    body = json.dumps({"writeKey": write_key, "batch": [EVENT]}).encode()
    post(client, "/v1/batch", body)
    [(_, fields)] = entries()
    assert fields[b"b"] == body
    assert fields[b"f"] == b"segment/batch"
    assert int(fields[b"s"]) == access.find_key(write_key).source_id
    assert b"m" not in fields  # every event had its own id


def test_browser_library_is_told_to_come_to_us(client, settings):
    settings.PUBLIC_URL = "https://engage.shop.example"
    answer = client.get("/v1/projects/wk_1/settings")
    assert answer.json()["integrations"]["Segment.io"] == {
        "apiKey": "wk_1",
        "apiHost": "engage.shop.example/v1",
        "protocol": "https",
        "deliveryStrategy": {"strategy": "batching"},
    }
