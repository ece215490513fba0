import base64
import hmac
import json

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from delivery.channels.webhook import LARGEST_BODY, WebhookChannel
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from tests.delivery.channels.drafts import webhook_draft
from tests.delivery.sending import SECRET
from tests.providers import ledger

OTHER = "whsec_" + base64.b64encode(b"another secret of 24 bytes").decode()


def send(hook, receiver, path: str = "/orders", **fields):
    [outcome] = hook.send([webhook_draft(receiver.url + path, **fields)])
    return outcome


def test_the_official_library_verifies_what_arrives(hook, receiver):
    body = '{"name": "Käthe", "n": 1}'.encode()
    draft = webhook_draft(receiver.url + "/orders?shop=1", body=body, headers={"X-Shop": "1"})
    assert hook.send([draft]) == [Accepted()]
    [asked] = receiver.seen
    assert Webhook(SECRET).verify(asked.body, asked.headers) == json.loads(body)
    assert asked.headers["webhook-id"] == str(draft.key)
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-shop"] == "1"
    assert (asked.method, asked.body, receiver.forged) == ("POST", body, 0)


def test_one_changed_bit_or_another_secret_is_noticed(hook, receiver):
    send(hook, receiver)
    [asked] = receiver.seen
    changed = bytes([asked.body[0] ^ 1]) + asked.body[1:]
    old = asked.headers | {"webhook-timestamp": str(int(asked.headers["webhook-timestamp"]) - 400)}
    for secret, body, headers in (
        (SECRET, changed, asked.headers),
        (OTHER, asked.body, asked.headers),
        (SECRET, asked.body, old),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


def test_a_signature_is_that_of_the_standard(hook, receiver):
    """The arithmetic by hand: HMAC-SHA256 over id, time and body, joined by full stops."""
    send(hook, receiver)
    [asked] = receiver.seen
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    said = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode()
    expected = base64.b64encode(hmac.digest(key, said + asked.body, "sha256")).decode()
    assert asked.headers["webhook-signature"] == f"v1,{expected}"


def test_during_a_rotation_either_secret_verifies(hook, receiver):
    send(hook, receiver, secrets=[OTHER, SECRET])
    [asked] = receiver.seen
    for secret in (OTHER, SECRET):
        Webhook(secret).verify(asked.body, asked.headers)
    assert len(asked.headers["webhook-signature"].split()) == 2


def test_a_second_try_has_the_same_id_and_the_receiver_keeps_one(hook, receiver):
    receiver.faults.play("accept_then_reset", times=1)
    draft = webhook_draft(receiver.url)
    first, second = hook.send([draft]), hook.send([draft])
    assert isinstance(first[0], Unknown)
    assert second == [Accepted()]
    assert len(receiver.seen) == 2
    assert [line["key"] for line in ledger.read(receiver.ledger.path)] == [str(draft.key)]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_accepted(hook, receiver, status):
    receiver.faults.play(str(status))
    assert send(hook, receiver) == Accepted()


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("301", Refused("http_301")), ("307", Refused("http_307")), ("400", Refused("http_400")),
        ("401", Refused("http_401")), ("404", Refused("http_404")),
        ("410", Refused("http_410", gone=True)),
        ("408", TryLater("http_408")), ("429", TryLater("http_429")),
        ("500", TryLater("http_500")), ("502", TryLater("http_502")),
        ("503", TryLater("http_503")), ("504", TryLater("http_504")),
        ("huge", Unknown("answer_too_large")),
    ],
)  # fmt: skip
def test_an_answer_is_classed_by_its_status(hook, receiver, fault, outcome):
    receiver.faults.play(fault, match="bad")
    assert send(hook, receiver, "/bad") == outcome
    assert send(hook, receiver, "/good") == Accepted()


def test_a_wish_for_a_pause_is_passed_on(hook, receiver):
    receiver.faults.play("429", retry_after="7")
    assert send(hook, receiver) == TryLater("http_429", 7.0)


def test_a_redirect_to_the_metadata_of_a_cloud_is_not_followed(hook, receiver):
    receiver.faults.play("redirect")
    assert send(hook, receiver) == Refused("http_302")
    assert len(receiver.seen) == 1


@pytest.mark.parametrize("fault", [{"action": "drip"}, {"action": "slow", "seconds": 20}])
def test_a_slow_receiver_leaves_its_own_message_unknown(hook, receiver, settings, fault):
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    receiver.faults.play(fault.pop("action"), match="slow", **fault)
    drafts = [webhook_draft(f"{receiver.url}/{name}") for name in ("slow", "good")]
    assert hook.send(drafts) == [Unknown("timeout"), Accepted()]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://shop.example/", "url_not_allowed"),
        ("https://127.0.0.1/", "url_not_allowed"),
        ("https://169.254.169.254/latest", "url_not_allowed"),
        ("not a url", "url_not_allowed"),
    ],
)
def test_a_url_that_leads_inside_is_refused(hook, receiver, url, reason):
    assert hook.send([webhook_draft(url)]) == [Refused(reason)]
    assert receiver.server.connections == 0


def test_a_name_that_leads_inside_is_refused(receiver):
    channel = WebhookChannel()
    channel.door.resolve = lambda host, port: ["127.0.0.1"]
    outcome = channel.send([webhook_draft("https://hooks.shop.example/")])
    assert outcome == [Refused("address_not_public")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"body": b"1" * (LARGEST_BODY + 1)}, "payload_too_large"),
        ({"secrets": []}, "no_secret"),
        ({"headers": {"X": "1\r\nY: 2"}}, "invalid_header"),
        ({"headers": {"X: 1\r\nY": "2"}}, "invalid_header"),
        ({"headers": {"webhook-id": "1"}}, "invalid_header"),
        ({"headers": {"Host": "evil.example"}}, "invalid_header"),
        ({"headers": {"X": "ü"}}, "invalid_header"),
    ],
)
def test_what_cannot_be_said_is_refused_before_the_call(hook, receiver, fields, reason):
    assert send(hook, receiver, **fields) == Refused(reason)
    assert receiver.server.connections == 0


def test_a_secret_stands_in_no_log_of_a_draft(receiver):
    assert "whsec_" not in repr(webhook_draft(receiver.url))
