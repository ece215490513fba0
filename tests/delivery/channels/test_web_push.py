import json
import logging
from datetime import UTC, datetime

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.channels import es256
from delivery.channels.pauses import MOST_PROVIDERS
from delivery.channels.web_push import (
    MOST_ORIGINS,
    WebPushChannel,
    encrypt,
    read_account,
    read_subscription,
)
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured
from engage.lib.outbound import UrlNotAllowed
from tests.delivery.channels.drafts import push_draft
from tests.providers import jwt, ledger
from tests.providers.certificates import write_key
from tests.providers.web_push import WebPush

# RFC 8291, section 5 and appendix A
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RECEIVER = (
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
)
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
TEXT = b"When I grow up, I want to be a watermelon"
ENCRYPTED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
    "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
    "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


@pytest.fixture
def any_service(settings):
    settings.WEB_PUSH_HOSTS = ["*"]


def subscription(endpoint="https://push.example/1", **keys):
    return json.dumps({"endpoint": endpoint, "keys": {"p256dh": RECEIVER, "auth": AUTH} | keys})


@pytest.mark.usefixtures("any_service")
def test_the_example_of_the_standard_is_encrypted_to_the_bit():
    number = int.from_bytes(es256.from_base64(SENDER), "big")
    body = encrypt(
        TEXT,
        read_subscription(subscription()),
        key=ec.derive_private_key(number, ec.SECP256R1()),
        salt=es256.from_base64(SALT),
    )
    assert es256.to_base64(body) == ENCRYPTED


def test_the_browser_reads_what_was_written(web, browsers):
    draft = push_draft(
        browsers.subscribe("ann"), title="Für dich", body="Schau",
        image="https://shop.example/1.jpg", link="https://shop.example/1",
        data={"token": "abc"}, ttl_seconds=3_600,
    )  # fmt: skip
    [outcome] = web.send([draft])
    [line] = ledger.read(browsers.ledger.path)
    assert outcome == Accepted(line["id"])
    assert json.loads(line["text"]) == {
        "title": "Für dich", "body": "Schau", "image": "https://shop.example/1.jpg",
        "link": "https://shop.example/1", "tag": draft.key.hex,
        "data": {"token": "abc", "message_id": str(draft.message_id), "key": str(draft.key)},
    }  # fmt: skip
    assert browsers.headers["ttl"] == "3600"
    assert browsers.headers["urgency"] == "normal"
    assert jwt.unpadded(browsers.headers["topic"]) == draft.key.bytes
    assert browsers.problems == []


@pytest.mark.parametrize(
    ("asked", "said"), [(None, "2419200"), (99_999_999, "2419200"), (-1, "0"), (0, "0")]
)
def test_the_time_to_live_is_always_said_and_bounded(web, browsers, asked, said):
    web.send([push_draft(browsers.subscribe("ann"), ttl_seconds=asked)])
    assert browsers.headers["ttl"] == said


def test_a_push_is_never_encrypted_twice_alike(web, browsers):
    drafts = [push_draft(browsers.subscribe("ann"))] * 2
    bodies = [web._prepare(draft).body for draft in drafts]
    assert bodies[0][:16] != bodies[1][:16]  # salt
    assert bodies[0][21:86] != bodies[1][21:86]  # key


def test_one_signature_serves_an_origin_for_six_hours(web, browsers):
    start = datetime(2026, 11, 2, 0, 0, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as now:
        for hour in range(13):
            now.move_to(start.replace(hour=hour))
            [outcome] = web.send([push_draft(browsers.subscribe("ann"))])
            assert isinstance(outcome, Accepted)
    assert len(browsers.tokens) == 3


def test_signatures_of_many_origins_are_not_kept_for_ever(web):
    for number in range(MOST_ORIGINS + 1):
        web._token(f"https://{number}.example")
    assert len(web.tokens) == 1


@pytest.mark.usefixtures("any_service")
@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://push.example/1", "https://push.example"),
        ("https://Push.Example:443/1?a=b", "https://push.example"),
        ("https://push.example:8443/1", "https://push.example:8443"),
        ("https://[2606:4700::1111]/1", "https://[2606:4700::1111]"),
    ],
)
def test_the_audience_is_the_origin(endpoint, origin):
    assert read_subscription(subscription(endpoint)).origin == origin


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("404", Refused("http_404", gone=True)),
        ("410", Refused("http_410", gone=True)),
        ("413", Refused("payload_too_large")),
        ("400", Refused("http_400")),
        ("307", Refused("http_307")),
        ("429", TryLater("http_429")),
        ("500", TryLater("http_500")),
        ("503", TryLater("http_503")),
        ("202", Unknown("malformed_answer")),
        ("html", Unknown("malformed_answer")),
        ("huge", Unknown("answer_too_large")),
    ],
)
def test_answers_are_classed_by_their_status(web, browsers, fault, outcome):
    browsers.faults.play(fault, match="bad")
    drafts = [push_draft(browsers.subscribe(name)) for name in ("bad", "ann")]
    first, second = web.send(drafts)
    assert first == outcome
    assert isinstance(second, Accepted)


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refusal_of_our_key_waits_for_somebody_to_look(web, browsers, caplog, status):
    browsers.faults.play(status)
    with caplog.at_level(logging.WARNING):
        assert web.send([push_draft(browsers.subscribe("ann"))]) == [TryLater(f"http_{status}")]
    assert caplog.messages == ["web push refused"]


def test_another_key_than_the_subscription_was_made_for_reaches_nobody(web, browsers, vapid):
    subscribed = browsers.subscribe("ann")
    web.send([push_draft(subscribed)])
    write_key(vapid, ec.generate_private_key(ec.SECP256R1()))
    assert WebPushChannel().send([push_draft(subscribed)]) == [TryLater("http_403")]
    assert len(ledger.read(browsers.ledger.path)) == 1


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("999999", 86_400.0), ("soon", None)])
def test_a_wish_for_a_pause_is_passed_on(web, browsers, said, seconds):
    browsers.faults.play("429", retry_after=said)
    assert web.send([push_draft(browsers.subscribe("ann"))]) == [TryLater("http_429", seconds)]


def test_a_service_that_hangs_leaves_one_group_unknown_and_the_others_alone(
    web, browsers, tmp_path, settings
):
    web.pauses.clock = lambda: 1_000.0
    folder = tmp_path / "others"
    folder.mkdir()
    others = WebPush(tmp_path / "others.jsonl", folder=folder)
    with others.running():
        settings.PRIVATE_HOSTS |= {("localhost", others.port)}
        trusted = tmp_path / "both.pem"
        trusted.write_bytes(browsers.ca_file.read_bytes() + others.ca_file.read_bytes())
        settings.CA_FILE = str(trusted)
        settings.PROVIDER_TIMEOUT_SECONDS = 1
        browsers.faults.play("slow", seconds=20)
        hung = [push_draft(browsers.subscribe(name)) for name in ("ann", "bob")]
        assert web.send(hung) == [Unknown("timeout")] * 2
        first, second = web.send(
            [push_draft(browsers.subscribe("cid")), push_draft(others.subscribe("dan"))]
        )
        assert first == TryLater("provider_paused", 30.0)
        assert isinstance(second, Accepted)
    assert browsers.requests == 2


def test_after_the_pause_of_a_service_one_message_finds_out(web, browsers):
    web.pauses.clock = lambda: 1_000.0
    browsers.faults.play("503", times=1)
    web.send([push_draft(browsers.subscribe("ann"))])
    web.pauses.clock = lambda: 1_030.0
    first, second = web.send([push_draft(browsers.subscribe(name)) for name in ("bob", "cid")])
    assert isinstance(first, Accepted)
    assert second == TryLater("provider_paused")
    assert isinstance(web.send([push_draft(browsers.subscribe("cid"))])[0], Accepted)


def test_pauses_of_many_services_are_not_kept_for_ever(web):
    for number in range(MOST_PROVIDERS + 1):
        web.pauses.learn(f"https://{number}.example:443", [Unknown("timeout", everybody=True)])
    assert len(web.pauses.until) == 1


def test_a_service_may_take_what_nobody_will_read(web, browsers):
    """Safari's does, for a subscription that is over: accepted is all that can be known."""
    browsers.faults.play("expired")
    [outcome] = web.send([push_draft(browsers.subscribe("ann"))])
    assert isinstance(outcome, Accepted)
    assert ledger.read(browsers.ledger.path) == []


def test_a_payload_above_the_limit_is_refused_before_the_call(web, browsers):
    empty = len(web._prepare(push_draft(browsers.subscribe("ann"), body="x")).body) - 1
    fits, too_large = "x" * (4_096 - empty), "x" * (4_097 - empty)
    drafts = [push_draft(browsers.subscribe("ann"), body=body) for body in (too_large, fits)]
    outcomes = web.send(drafts)
    assert outcomes[0] == Refused("payload_too_large")
    assert isinstance(outcomes[1], Accepted)
    assert browsers.requests == 1


@pytest.mark.parametrize(
    "text",
    [
        "token-ann", "[]", "null", "{}", '"{}"', "[" * 100_000, '{"endpoint": 1}',
        '{"endpoint": "https://push.example/1"}',
        '{"endpoint": "https://push.example/1", "keys": []}',
        subscription(p256dh=5), subscription(p256dh=None), subscription(auth=[]),
        subscription(p256dh="!" * 87), subscription(p256dh=RECEIVER[:-1] + "x"),
        subscription(p256dh=RECEIVER[:40]), subscription(auth=AUTH[:10]),
        subscription(auth=AUTH + "AAAA"), subscription(["https://push.example/1"]),
        subscription("https://push.example/" + "x" * 5_000),
    ],
)  # fmt: skip
def test_what_is_no_subscription_is_refused_without_a_call(web, browsers, text):
    with pytest.raises(ValueError, match=r".") as caught:
        read_subscription(text)
    assert not isinstance(caught.value, UrlNotAllowed)
    assert web.send([push_draft(text)]) == [Refused("invalid_subscription")]
    assert browsers.requests == 0


@pytest.mark.usefixtures("any_service")
def test_padding_of_the_keys_does_no_harm():
    read = read_subscription(subscription(p256dh=RECEIVER + "=", auth=AUTH + "=="))
    assert es256.to_base64(read.auth) == AUTH


@pytest.mark.parametrize(
    "endpoint",
    ["http://push.example/1", "https://127.0.0.1/1", "https://localhost/1", "https://push.example:22/",
     "https://me@push.example/1", "file:///etc/passwd", "https://169.254.169.254/latest", ""],
)  # fmt: skip
def test_an_endpoint_that_leads_inside_is_refused(web, browsers, endpoint):
    assert web.send([push_draft(subscription(endpoint))]) == [Refused("url_not_allowed")]


@pytest.mark.parametrize(
    "host",
    ["fcm.googleapis.com", "updates.push.services.mozilla.com", "wns2-by3p.notify.windows.com",
     "web.push.apple.com", "Web.Push.Apple.com"],
)  # fmt: skip
def test_the_services_of_the_browsers_are_known(host):
    assert read_subscription(subscription(f"https://{host}/1")).place.host == host.lower()


@pytest.mark.parametrize(
    "host",
    ["push.example", "push.apple.com", "evilpush.apple.com.example", "xpush.apple.com",
     "fcm.googleapis.com.example", "a.fcm.googleapis.com", "93.184.215.14"],
)  # fmt: skip
def test_an_endpoint_of_another_host_is_refused_without_a_call(web, browsers, host):
    looked_up = []
    web.door.resolve = lambda host, port: looked_up.append(host) or ["93.184.215.14"]
    draft = push_draft(subscription(f"https://{host}/1"))
    assert web.send([draft]) == [Refused("push_service_not_allowed")]
    assert looked_up == []


def test_other_services_are_named_in_a_setting(settings):
    settings.WEB_PUSH_HOSTS = ["*.push.example"]
    assert read_subscription(subscription("https://a.b.push.example/1")).place.port == 443
    with pytest.raises(UrlNotAllowed, match=r"leads to fcm\.googleapis\.com, .*WEB_PUSH_HOSTS"):
        read_subscription(subscription("https://fcm.googleapis.com/1"))


@pytest.mark.usefixtures("any_service")
def test_a_name_that_leads_inside_is_refused(web, browsers):
    web.door.resolve = lambda host, port: ["127.0.0.1"]
    assert web.send([push_draft(subscription())]) == [Refused("address_not_public")]
    assert browsers.connections == 0


@pytest.mark.parametrize("content", [None, "", "no key"])
def test_a_wrong_key_file_says_what_to_do(vapid, content):
    vapid.unlink()
    if content is not None:
        vapid.write_text(content)
    with pytest.raises(ChannelNotConfigured, match="make_vapid_key"):
        read_account()


@pytest.mark.parametrize("subject", ["", "push@shop.example", "http://shop.example"])
def test_a_wrong_subject_is_said_by_its_name(vapid, settings, subject):
    settings.VAPID_SUBJECT = subject
    with pytest.raises(ChannelNotConfigured, match="ENGAGE_VAPID_SUBJECT must be"):
        read_account()
