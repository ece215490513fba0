import json
import time

import pytest

from delivery.channels.fcm import FcmChannel, encode, judge, read_account
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured, ChannelUnavailable
from engage.lib.http import Response
from tests.delivery.channels.drafts import push_draft
from tests.providers import ledger
from tests.providers.captured import Captured


def test_a_push_arrives_with_its_key_link_and_data(push, fcm, tmp_path):
    fcm.captured = Captured(tmp_path / "captured", title="Captured pushes")
    draft = push_draft(
        "token-ann", title="Für dich", body="Schau", image="https://shop.example/1.jpg",
        link="https://shop.example/1", data={"token": "abc"}, ttl_seconds=3_600,
    )  # fmt: skip
    [outcome] = push.send([draft])
    [line] = ledger.read(fcm.ledger.path)
    assert outcome == Accepted(line["id"])
    message = json.loads((tmp_path / "captured" / "000001.json").read_text())
    assert message["notification"] == {
        "title": "Für dich", "body": "Schau", "image": "https://shop.example/1.jpg",
    }  # fmt: skip
    assert message["data"] == {
        "token": "abc", "message_id": str(draft.message_id), "key": str(draft.key),
        "link": "https://shop.example/1",
    }  # fmt: skip
    assert message["android"] == {"notification": {"tag": draft.key.hex}, "ttl": "3600s"}
    end = message["apns"]["headers"].pop("apns-expiration")
    assert abs(int(end) - time.time() - 3_600) < 10
    assert message["apns"] == {
        "headers": {"apns-collapse-id": draft.key.hex}, "payload": {"aps": {"mutable-content": 1}},
    }  # fmt: skip
    assert message["webpush"]["headers"] == {"TTL": "3600"}


@pytest.mark.parametrize(("asked", "said"), [(-1, 0), (0, 0), (2_419_201, 2_419_200)])
def test_the_time_to_live_is_one_that_google_takes(asked, said):
    message = json.loads(encode(push_draft(ttl_seconds=asked)))["message"]
    assert message["android"]["ttl"] == f"{said}s"
    assert message["webpush"]["headers"] == {"TTL": str(said)}
    end = int(message["apns"]["headers"]["apns-expiration"])
    assert end == 0 if said == 0 else abs(end - time.time() - said) < 10


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"[" * 60_000, b"{}", b"<html>",
        b'{"access_token": null, "expires_in": 3600}', b'{"access_token": "", "expires_in": 3600}',
        b'{"access_token": "a\\nb", "expires_in": 3600}',
        '{"access_token": "ä", "expires_in": 3600}'.encode(),
        b'{"access_token": "a", "expires_in": "soon"}',
        b'{"access_token": "a", "expires_in": 1' + b"0" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_access_token_sends_nothing_and_is_tried_later(push, fcm, monkeypatch, body):
    monkeypatch.setattr(push, "_log_in", lambda _seconds: Response(200, {}, body))
    with pytest.raises(ChannelUnavailable, match="no access token"):
        push.send([push_draft()])
    assert fcm.requests == 0


@pytest.mark.parametrize("odd", [5, True, 1.5, "x", {"a": 1}, [5], [[]]])
def test_an_answer_of_other_types_is_judged_by_its_status(odd):
    error = {"error": {"details": odd}}
    named = {"error": {"details": [{"errorCode": "INVALID_ARGUMENT"}, {"fieldViolations": odd}]}}
    said = [judge(Response(400, {}, json.dumps(one).encode())) for one in (error, named)]
    assert said == [Refused("http_400"), Refused("invalid_argument")]


def test_a_batch_shares_one_connection_and_one_access_token(push, fcm):
    for _ in range(2):
        push.send([push_draft(f"token-{n}") for n in range(50)])
    assert (fcm.requests, fcm.logins) == (100, 1)
    assert fcm.connections == 1


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("unregistered", Refused("unregistered", gone=True)),
        ("invalid_token", Refused("invalid_argument", gone=True)),
        ("sender_mismatch", Refused("sender_id_mismatch")),
        ("third_party", TryLater("third_party_auth_error")),
        ("quota", TryLater("quota_exceeded", 60.0, everybody=True)),
        ("unavailable", TryLater("unavailable", everybody=True)),
        ("internal", TryLater("internal", everybody=True)),
        ("html", Unknown("malformed_answer")),
        ("huge", Unknown("answer_too_large")),
    ],
)
def test_answers_are_classed_by_googles_word(push, fcm, fault, outcome):
    fcm.faults.play(fault, match="bad")
    first, second = push.send([push_draft("bad"), push_draft("good")])
    assert first == outcome
    assert isinstance(second, Accepted)


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("999999", 86_400.0), ("soon", None)])
def test_a_wish_for_a_pause_is_passed_on(push, fcm, said, seconds):
    fcm.faults.play("unavailable", retry_after=said)
    assert push.send([push_draft()]) == [TryLater("unavailable", seconds, everybody=True)]


def test_a_payload_above_the_limit_is_refused_before_the_call(push, fcm):
    fits, too_large = push_draft(body="x" * 3_900), push_draft(body="ü" * 2_100)
    outcomes = push.send([too_large, fits])
    assert outcomes[0] == Refused("payload_too_large")
    assert isinstance(outcomes[1], Accepted)
    assert fcm.requests == 1


def test_an_argument_that_is_no_tokens_fault_keeps_the_device(push, fcm):
    [outcome] = push.send([push_draft(data={"n": 1})])
    assert outcome == Refused("invalid_argument")


def test_a_refused_access_token_is_renewed_and_the_message_sent_once(push, fcm):
    push.send([push_draft()])
    fcm.tokens.clear()
    [outcome] = push.send([push_draft()])
    assert isinstance(outcome, Accepted)
    assert (fcm.logins, len(ledger.read(fcm.ledger.path))) == (2, 2)


def test_an_access_token_is_renewed_before_its_end(push, fcm, monkeypatch):
    fcm.token_seconds = 0
    push.send([push_draft()])
    fcm.token_seconds = 3_600
    push.send([push_draft()])
    push.send([push_draft()])
    assert fcm.logins == 3  # one was refused, one renewed it, one lives


def test_without_an_access_token_nothing_is_sent(fcm, settings, tmp_path):
    facts = json.loads(fcm.credentials_file.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(facts | {"token_uri": f"{fcm.url}/nowhere"}))
    settings.FCM_CREDENTIALS_FILE = str(other)
    with pytest.raises(ChannelUnavailable, match="the token endpoint answered 404"):
        FcmChannel().send([push_draft()])
    assert fcm.requests == 0


def test_a_server_whose_certificate_we_do_not_know_gets_nothing(push, fcm, settings):
    settings.CA_FILE = ""
    with pytest.raises(ChannelUnavailable, match="connection_failed"):
        push.send([push_draft()])
    assert fcm.requests == 0


@pytest.mark.parametrize("content", [None, "{}", "[]", "no json", '{"project_id": "p"}'])
def test_a_wrong_account_file_says_what_is_expected(tmp_path, content):
    path = tmp_path / "account.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ChannelNotConfigured, match="expected the JSON file of a service account"):
        read_account(str(path))
