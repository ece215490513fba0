import hashlib
import hmac
import json
import random
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from redis import Redis

from delivery import links, policy, reaping, reports, suppression
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.hooks import esp, twilio
from delivery.models import Interaction, Message, Receipt, SendAttempt, Suppression
from delivery.results import judge
from engage.lib import clock
from engage.profiles import erasure
from engage.profiles.models import Consent, Device, Event
from tests.delivery.hooks.conftest import SECRET, post_esp, post_signed, post_twilio
from tests.delivery.sending import claim, end_leases, mark, record
from tests.factories import NOON, make_message, make_profile
from tests.providers.esp import hooks

pytestmark = pytest.mark.django_db


def receipts() -> list[str]:
    return sorted(Receipt.objects.values_list("kind", flat=True))


def suppressed() -> dict[str, str]:
    """Reasons by the address, of those that tests use."""
    names = [("email", "old@shop.example"), ("email", "new@shop.example"), ("sms", "+15550002222")]
    digests = {suppression.digest(address, channel=one): address for one, address in names}
    rows = Suppression.objects.values_list("digest", "reason")
    return {digests[digest]: reason for digest, reason in rows}


def nothing_happened() -> bool:
    tables = (Receipt, Suppression, Event, Interaction)
    opted_out = Consent.objects.filter(status="opted_out").exists()
    return not opted_out and not any(table.objects.exists() for table in tables)


# --- what each kind does ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("delivered", None), ("failed", None), ("bounced", "bounced"),
        ("complained", "complained"), ("gone", "gone"), ("opted_out", "unsubscribed"),
    ],
)  # fmt: skip
def test_the_address_that_the_mail_went_to_is_suppressed_not_the_present_one(
    doors, mail, kind, reason
):
    answer = post_signed(doors, [{"kind": kind, "message_id": f"<{mail.key}@shop.example>"}])
    assert answer.json() == {"new": 1, "known": 0, "unknown": 0}
    assert receipts() == [kind]
    assert suppressed() == ({"old@shop.example": reason} if reason else {})
    consent = Consent.objects.get(channel="email")
    assert consent.status == ("opted_out" if kind == "opted_out" else "opted_in")


def test_the_mark_keeps_the_digest_of_the_address_it_was_for(person):
    make_message(profile=person)
    [message] = claim()
    mark([message], address="Old@shop.example")
    kept = Message.objects.get(id=message.id)
    assert kept.address_digest == suppression.digest("old@shop.example", channel="email")


def test_a_message_is_found_by_what_the_provider_called_it(doors, mail):
    post_signed(doors, [{"kind": "bounced", "provider_id": "pm-1"}])
    assert Receipt.objects.get().message_id == mail.id


def test_a_retired_token_is_the_one_that_the_push_went_to(doors):
    phone = make_profile(user_id="bob", push_token="new-token")
    device = Device.objects.get(profile=phone)
    for token, gone in (("old-token", False), ("new-token", True)):
        push = make_message(
            profile=phone, channel="push", state="accepted", address_id=device.device_id,
            address_digest=suppression.digest(token, channel="push"),
        )  # fmt: skip
        SendAttempt.objects.create(
            profile_id=phone.pk, id=push.id, message_id=push.id, attempt=1, lease_token=push.id,
            outcome="accepted", started_at=NOON, ended_at=NOON,
        )  # fmt: skip
        post_signed(doors, [{"kind": "gone", "channel": "push", "message_id": str(push.id)}])
        device.refresh_from_db()
        assert (device.gone_at is not None) == gone
    assert receipts() == ["gone", "gone"]


def test_a_dead_address_of_no_message_is_dead_all_the_same(doors):
    answer = post_signed(doors, [{"kind": "bounced", "address": "old@shop.example"}])
    assert answer.json() == {"new": 0, "known": 0, "unknown": 1}
    assert suppressed() == {"old@shop.example": "bounced"}


def test_a_receipt_of_somebody_erased_leaves_no_trace_of_them(doors, mail, person):
    erasure.erase(person.pk, now=NOON)
    post_signed(
        doors,
        [{"kind": "bounced", "message_id": str(mail.key), "address": "old@shop.example"}],
    )
    assert receipts() == []
    assert Message.objects.get().address_digest is None
    assert suppressed() == {"old@shop.example": "bounced"}


def test_an_older_opt_out_does_not_undo_a_later_opt_in(doors, mail, person):
    Consent.objects.filter(profile=person).update(stated_ms=NOON.timestamp() * 1000)
    early = (NOON - timedelta(hours=1)).isoformat()
    post_signed(doors, [{"kind": "opted_out", "message_id": str(mail.key), "ts": early}])
    assert Consent.objects.get(channel="email").status == "opted_in"
    make_message(profile=person)
    [message] = claim()
    [decision] = mark([message], address="old@shop.example")
    assert type(decision).__name__ == "Allow"


# --- F-30: repeated, shuffled, forged --------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_every_receipt_three_times_in_any_order_ends_the_same(doors, person, seed):
    make_message(profile=person)
    [message] = claim()
    mark([message], address="old@shop.example")
    kinds = ["delivered", "failed", "bounced", "complained", "opted_out"]
    said = [
        {"kind": kind, "message_id": str(message.key), "ts": f"2026-11-02T12:00:0{n}Z", "id": kind}
        for n, kind in enumerate(kinds)
    ] * 3
    random.Random(seed).shuffle(said)
    for line in said[:8]:  # before the provider's own answer is written down
        assert post_signed(doors, [line]).status_code == 200
    assert record(message, Accepted("pm-9")) == 0
    for line in said[8:]:
        assert post_signed(doors, [line]).status_code == 200
    assert receipts() == sorted(kinds)
    assert Message.objects.get().state == "accepted"
    assert suppressed()["old@shop.example"] in {"bounced", "complained"}
    assert Consent.objects.get(channel="email").status == "opted_out"
    assert reports.run_figures(1)["receipts"] == {
        "delivered": 0, "bounced": 1, "failed": 0, "complained": 1, "opted_out": 1, "gone": 0,
    }  # fmt: skip


def test_a_message_that_nobody_knew_of_was_sent_when_its_provider_speaks_of_it(doors, mail):
    Message.objects.update(state="unknown", reason="no_answer")
    post_signed(doors, [{"kind": "delivered", "message_id": str(mail.key)}])
    assert list(Message.objects.values_list("state", "reason")) == [("accepted", "")]


def outcome() -> tuple[str, str]:
    return Message.objects.values_list("state", "reason").get()


def test_a_receipt_during_the_call_is_remembered_when_the_caller_dies(doors, person):
    make_message(profile=person)
    [message] = claim()
    mark([message], address="old@shop.example")
    post_signed(doors, [{"kind": "delivered", "message_id": str(message.key)}])
    assert outcome() == ("attempting", "heard")
    assert reports.run_figures(1)["reasons"] == {}
    end_leases()
    assert reaping.reap(NOON) == reaping.Reaped(returned=0, unknown=0, cancelled=0)
    assert outcome() == ("accepted", "")
    assert list(SendAttempt.objects.values_list("outcome", flat=True)) == ["unknown"]


@pytest.mark.parametrize(
    ("answer", "state"),
    [(Unknown("timeout"), "accepted"), (Accepted("x"), "accepted"), (Refused("no"), "failed"),
     (TryLater("busy"), "accepted")],
)  # fmt: skip
def test_a_receipt_during_the_call_outweighs_all_but_a_refusal(doors, person, answer, state):
    make_message(profile=person)
    [message] = claim()
    mark([message], address="old@shop.example")
    post_signed(doors, [{"kind": "delivered", "message_id": str(message.key)}])
    assert record(message, answer) == 0
    assert outcome() == (state, "no" if state == "failed" else "")


def test_a_receipt_during_the_last_call_outweighs_a_provider_that_was_busy(doors, person):
    make_message(profile=person, attempt=policy.MAX_ATTEMPTS - 1)
    [message] = claim()
    mark([message], address="old@shop.example")
    post_signed(doors, [{"kind": "delivered", "message_id": str(message.key)}])
    assert record(message, TryLater("busy"), attempt=policy.MAX_ATTEMPTS) == 0
    assert outcome() == ("accepted", "")
    assert list(SendAttempt.objects.values_list("outcome", flat=True)) == ["unavailable"]


@pytest.mark.parametrize("claimed", [False, True])
def test_a_receipt_ends_the_wait_for_another_call(doors, person, claimed):
    make_message(profile=person, kind="transactional")
    [message] = claim()
    mark([message], address="old@shop.example")
    assert record(message, Unknown("reset")) == 0
    assert outcome() == ("planned", "")
    later = NOON + timedelta(seconds=300)
    again = claim(now=later) if claimed else []
    post_signed(doors, [{"kind": "delivered", "message_id": str(message.key)}])
    assert outcome() == ("accepted", "")
    assert Message.objects.get().finished_at is not None
    if claimed:
        assert mark(again, address="old@shop.example", now=later) == [None]
    assert claim(now=later) == []


def test_a_receipt_for_what_was_never_called_sends_nothing_less(doors, person):
    message = make_message(profile=person)
    post_signed(doors, [{"kind": "delivered", "message_id": str(message.key)}])
    assert outcome() == ("planned", "")


def test_what_nobody_signed_changes_nothing(doors, mail, text):
    now = clock.now()
    line = {"kind": "bounced", "message_id": str(mail.key)}
    other = SECRET[:-4] + "AAA="
    stop = {"Body": "STOP", "From": "+15550002222", "MessageSid": "SM2"}
    status = links.sign(links._who(text), purpose="click")
    bounced = hooks({"To": "old@shop.example", "MessageID": "pm-1", "Metadata": {}})["bounced"]
    answers = [
        post_signed(doors, [line], secret=other),
        post_signed(doors, [line], at=now - timedelta(minutes=10)),
        post_signed(doors, [line], at=now + timedelta(minutes=10)),
        doors.post("/hooks/engage/", json.dumps([line]), content_type="application/json"),
        post_esp(doors, bounced, password="Basic aGFja2VyOmhhY2tlcg=="),
        post_twilio(doors, stop, token="wrong"),
        post_twilio(doors, {"MessageStatus": "failed"}, path=f"/hooks/twilio/{status}", token=""),
    ]
    assert [answer.status_code for answer in answers] == [403] * 7
    assert {answer.json()["code"] for answer in answers} == {"forged_receipt"}
    assert post_esp(doors, bounced, password="").status_code == 401
    assert nothing_happened()


@pytest.mark.parametrize(
    "stamp", ["9" * 400, "9" * 5_000, "0" * 5_000, "\u0661\u0667", "-1", "1e9", "0"]
)
def test_a_time_that_is_none_is_forged(doors, stamp):
    headers = {"webhook-id": "x", "webhook-timestamp": stamp, "webhook-signature": "v1,x"}
    answer = doors.post("/hooks/engage/", "[]", content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forged_receipt")


def test_a_body_that_was_changed_on_its_way_is_forged(doors, mail):
    lines = [{"kind": "delivered", "message_id": str(mail.key)}]
    body = json.dumps(lines)
    answer = post_signed(doors, lines)
    headers = {
        name: answer.wsgi_request.headers[name]
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    changed = body.replace("delivered", "bounced")
    forged = doors.post(
        "/hooks/engage/", changed, content_type="application/json", headers=headers
    )
    assert (forged.status_code, receipts(), suppressed()) == (403, ["delivered"], {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("detail", "a\x00b"), ("provider_id", "\x00"), ("address", "\x00@shop.example"),
        ("id", "\x00"), ("message_id", "\x00"), ("ts", "0001-01-01T00:00:00+14:00"),
        ("ts", "9999-12-31T23:59:59-14:00"), ("ts", "0001-01-01T00:00:00Z"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["bounced", "opted_out"])
def test_no_letter_and_no_time_breaks_a_receipt(doors, mail, kind, name, value):
    line = {"kind": kind, "message_id": str(mail.key), name: value}
    assert post_signed(doors, [line]).status_code == 200


@pytest.mark.parametrize(
    "body",
    ["", "{", "{}", "[1]", '[{"kind": "eaten"}]', '[{"kind": "bounced", "channel": "in_app"}]',
     "[" * 10_000, '[{"kind": "bounced", "ts": "yesterday"}]',
     json.dumps([{"kind": "bounced"}] * 1_001)],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_whole(doors, body):
    answer = post_signed(doors, [], body=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert nothing_happened()


def test_a_body_beyond_the_bound_is_refused(doors):
    answer = post_signed(doors, [], body="x" * 1_000_001)
    assert answer.status_code == 413


def test_doors_without_a_secret_are_closed(doors, settings):
    paths = ["/hooks/engage/", "/hooks/postmark/", "/hooks/twilio/", "/hooks/twilio/x"]
    assert [doors.get(path).status_code for path in paths] == [405] * 4
    settings.HOOK_SECRET, settings.ANYMAIL_WEBHOOK_SECRET, settings.SMS_TOKEN = "", [], ""
    for path in (*paths, "/hooks/mailgun/", "/hooks/nobody", "/hooks//", "/hooks/engage/x"):
        assert [doors.post(path).status_code, doors.get(path).status_code] == [404, 404]


# --- e-mail services -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["delivered", "failed", "bounced", "complained", "opted_out"])
def test_hooks_of_a_service_become_receipts(doors, mail, kind):
    said = {"To": "old@shop.example", "MessageID": "x", "Metadata": {"key": str(mail.key)}}
    for _ in range(3):
        assert post_esp(doors, hooks(said)[kind]).status_code == 200
    assert receipts() == [kind]
    wanted = {"bounced": "bounced", "complained": "complained", "opted_out": "unsubscribed"}
    assert list(suppressed().values()) == ([wanted[kind]] if kind in wanted else [])


@pytest.mark.parametrize(
    ("said", "soft"),
    [
        ({"Type": "HardBounce"}, False), ({"Type": "SoftBounce"}, True),
        ({"event": "hard_bounce"}, False), ({"event": "soft_bounce"}, True),
        ({"event": "bounce", "type": "bounce"}, False),
        ({"event": "bounce", "type": "blocked"}, True),
        ({"bounce": {"bounceType": "Permanent"}}, False),
        ({"bounce": {"bounceType": "Transient"}}, True),
        ({"bounce": "odd"}, False), ({}, False),
    ],
)  # fmt: skip
def test_a_bounce_that_is_not_for_good_is_told_apart(said, soft):
    assert esp.is_soft(said) == soft


def test_a_time_without_a_zone_is_taken_for_utc(doors, mail):
    said = {"To": "old@shop.example", "MessageID": "x", "Metadata": {"key": str(mail.key)}}
    told = hooks(said)["bounced"] | {"BouncedAt": "2026-01-02T03:04:05"}
    assert post_esp(doors, told).json() == {"new": 1, "known": 0, "unknown": 0}
    assert Receipt.objects.get().ts == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_opens_told_by_a_service_are_not_counted_twice(doors, mail):
    said = {"To": "old@shop.example", "MessageID": "pm-1", "Metadata": {}}
    answer = post_esp(doors, hooks(said)["opened"])
    assert answer.json() == {"new": 0, "known": 0, "unknown": 0}
    assert nothing_happened()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"RecordType": "Bounce"}', b"\xff", b"[" * 100_000,
        b'{"FromFull": {}}',  # a mail that came in, told at the wrong door
        b'{"RecordType": "Bounce", "Email": "a\\u0000@b.example", "MessageID": "\\u0000"}',
        b'{"RecordType": "Bounce", "Email": "\\ud800@b.example", "MessageID": "\\ud800"}',
        b'{"RecordType": "Delivery", "DeliveredAt": "0001-01-01T00:00:00+14:00"}',
    ],
)  # fmt: skip
def test_a_hook_that_the_service_would_not_write_breaks_nothing(doors, body):
    answer = doors.post(
        "/hooks/postmark/", body, content_type="application/json",
        headers={"Authorization": "Basic aG9va3M6YS1sb25nLXBhc3N3b3JkLW9mLW91cnM="},
    )  # fmt: skip
    assert answer.status_code in {200, 400}
    assert not Receipt.objects.exists()
    assert not Event.objects.exists()


def test_a_signed_hook_of_mailgun_is_read_and_a_forged_one_is_not(doors, settings, mail):
    settings.EMAIL_ESP, settings.ESP_HOOK_KEY = "mailgun", "the-signing-key"
    settings.ANYMAIL_WEBHOOK_SECRET = []
    at = int(clock.now().timestamp())

    def sign(stamp: object) -> str:
        return hmac.new(b"the-signing-key", f"{stamp}t".encode(), hashlib.sha256).hexdigest()

    for stamp, signature, status in (
        (at, "0" * 64, 403), (at - 90_000, sign(at - 90_000), 403), ("nan", sign("nan"), 403),
        (at - 30_000, sign(at - 30_000), 200), ("x", sign("x"), 400),
    ):  # fmt: skip
        said = {
            "signature": {"timestamp": str(stamp), "token": "t", "signature": signature},
            "event-data": {
                "event": "failed", "severity": "permanent", "timestamp": 1700000000.0,
                "recipient": "old@shop.example", "reason": "bounce",
                "message": {"headers": {"message-id": "x"}},
                "user-variables": {"key": str(mail.key)}, "delivery-status": {},
            },
        }  # fmt: skip
        answer = doors.post("/hooks/mailgun/", json.dumps(said), content_type="application/json")
        assert answer.status_code == status
    assert receipts() == ["bounced"]
    assert suppressed() == {"old@shop.example": "bounced"}


def said_by_mailgun(mail, *, recipient: str, stamp: str, token: str = "e0t") -> bytes:
    """The signature is Mailgun's for time and token, whatever is said beside it."""
    signed = f"{int(clock.now().timestamp())}e0t".encode()
    return json.dumps({
        "signature": {
            "timestamp": stamp, "token": token,
            "signature": hmac.new(b"the-signing-key", signed, hashlib.sha256).hexdigest(),
        },
        "event-data": {
            "event": "failed", "severity": "permanent", "timestamp": 1700000000.0,
            "recipient": recipient, "reason": "bounce",
            "message": {"headers": {"message-id": "x"}},
            "user-variables": {"key": str(mail.key)}, "delivery-status": {},
        },
    }).encode()  # fmt: skip


@pytest.fixture
def mailgun(doors, settings):
    settings.EMAIL_ESP, settings.ESP_HOOK_KEY = "mailgun", "the-signing-key"
    settings.ANYMAIL_WEBHOOK_SECRET = []

    def post(body: bytes, content_type: str = "application/json") -> int:
        return doors.post("/hooks/mailgun/", body, content_type=content_type).status_code

    with time_machine.travel(NOON, tick=False):
        yield post


def test_a_signature_of_mailgun_is_good_for_one_body(mailgun, mail):
    stamp = str(int(NOON.timestamp()))
    true = said_by_mailgun(mail, recipient="old@shop.example", stamp=stamp)
    lies = [
        said_by_mailgun(mail, recipient="bob@shop.example", stamp=stamp),
        # The same signed letters, as another time and another token.
        said_by_mailgun(mail, recipient="bob@shop.example", stamp=f"{stamp}e0", token="t"),
    ]
    assert [mailgun(body) for body in (true, true, *lies, true)] == [200, 200, 403, 403, 200]
    assert receipts() == ["bounced"]
    assert suppressed() == {"old@shop.example": "bounced"}


def test_a_form_of_mailgun_has_no_time_that_can_be_checked(mailgun, mail):
    stamp = str(int(NOON.timestamp()))
    body = said_by_mailgun(mail, recipient="old@shop.example", stamp=stamp)
    signed = json.loads(body)["signature"]
    form = urlencode(signed | {"event": "bounced", "recipient": "old@shop.example"})
    hidden = json.dumps({"signature": signed, "x": f"&{form}&"}).encode()
    assert mailgun(hidden, "application/x-www-form-urlencoded") == 400
    assert nothing_happened()


def test_while_redis_is_away_mailgun_is_asked_to_come_again(mailgun, mail, monkeypatch):
    stamp = str(int(NOON.timestamp()))
    body = said_by_mailgun(mail, recipient="old@shop.example", stamp=stamp)
    with monkeypatch.context() as away:
        away.setattr("engage.lib.redis.client", lambda: Redis(port=1))
        assert mailgun(body) == 503
        assert nothing_happened()
    assert mailgun(body) == 200
    assert receipts() == ["bounced"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=1&" * 2_000, "application/x-www-form-urlencoded"),
        (b"token=t", "application/x-www-form-urlencoded; charset=utf-16"),
        (b"--x", "multipart/form-data"),
        (b"--x\r\n" + b"A: b\r\n" * 5_000, "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data; boundary=x; charset=hex"),
        (b'{"signature": {"token": [], "timestamp": {}, "signature": 5}}', "application/json"),
    ],
)
def test_a_form_that_nobody_signed_breaks_no_door(doors, settings, body, content_type):
    settings.EMAIL_ESP, settings.ESP_HOOK_KEY = "mailgun", "the-signing-key"
    settings.ANYMAIL_WEBHOOK_SECRET = []
    answer = doors.generic("POST", "/hooks/mailgun/", body, content_type=content_type)
    assert answer.status_code in {400, 403}
    assert nothing_happened()


# --- SMS -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "signature"),
    [
        ("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("+12349013030", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
    ],
)
def test_the_signature_is_the_one_that_the_provider_documents(number, signature):
    form = [
        ("Digits", "1234"), ("To", "+18005551212"), ("From", number),
        ("Caller", number), ("CallSid", "CA1234567890ABCDE"),
    ]  # fmt: skip
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio.sign(url, form, token="12345") == signature
    assert twilio.sign(url, [*form, form[0]], token="12345") == signature


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        ("delivered", "", "delivered", None),
        ("undelivered", "30007", "failed", None),
        ("undelivered", "30005", "bounced", "bounced"),
        ("failed", "21610", "opted_out", "unsubscribed"),
        ("sent", "", None, None),
    ],
)
def test_a_status_is_a_receipt_when_it_is_final(doors, text, settings, status, code, kind, reason):
    path = links.status_url(text).removeprefix(settings.PUBLIC_URL)
    form = {"MessageStatus": status, "MessageSid": "SM1", "To": "+15550002222"}
    form |= {"ErrorCode": code} if code else {}
    for _ in range(3):
        assert post_twilio(doors, form, path=path).status_code == 204
    assert receipts() == ([kind] if kind else [])
    assert list(suppressed().values()) == ([reason] if reason else [])


def test_a_status_without_our_token_is_found_by_the_provider_s_id(doors, text):
    post_twilio(doors, {"MessageStatus": "delivered", "MessageSid": "SM1", "SmsStatus": "x"})
    assert Receipt.objects.get().message_id == text.id


def answer_of(client, body: str, sid: str, **more):
    form = {"Body": body, "From": "+15550002222", "To": "+15550001111", "MessageSid": sid,
            "SmsStatus": "received"} | more  # fmt: skip
    return post_twilio(client, form)


def test_stop_ends_texts_before_the_next_mark_and_start_begins_them_again(doors, person, text):
    def may_go() -> str:
        make_message(profile=person, channel="sms")
        [message] = claim(channel="sms")
        [decision] = mark([message], address="+1 555 000 2222")
        return type(decision).__name__

    assert may_go() == "Allow"
    for _ in range(3):
        assert b"<Message>" not in answer_of(doors, "Stop!", "SM2").content
    assert Consent.objects.get(channel="sms").status == "opted_out"
    assert suppressed() == {"+15550002222": "unsubscribed"}
    assert may_go() == "Drop"
    answer_of(doors, "START", "SM3")
    assert Consent.objects.get(channel="sms").status == "opted_in"
    assert may_go() == "Allow"
    answer_of(doors, "Stop!", "SM2")  # told once more, late
    assert may_go() == "Allow"
    answer_of(doors, "stop", "SM4")
    answer_of(doors, "START", "SM3")
    assert may_go() == "Drop"
    assert Consent.objects.get(channel="email").status == "opted_in"


def test_words_that_the_provider_was_taught_are_understood(doors, person, text):
    answer_of(doors, "Baja", "SM2", OptOutType="STOP")
    assert Consent.objects.get(channel="sms").status == "opted_out"
    answer_of(doors, "Alta", "SM3", OptOutType="START")
    assert Consent.objects.get(channel="sms").status == "opted_in"
    said = answer_of(doors, "Ayuda", "SM4", OptOutType="HELP").content
    assert b"<Message>" not in said  # the provider answered


def test_stop_of_a_stranger_closes_the_number(doors):
    answer_of(doors, "STOP", "SM2")
    assert suppressed() == {"+15550002222": "unsubscribed"}


def test_help_is_answered_and_other_words_are_not(doors, text, settings):
    settings.SMS_HELP = "Ask <us> & we help."
    said = answer_of(doors, "help", "SM2")
    assert said["Content-Type"] == "text/xml"
    assert said.content.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>'
        "<Response><Message>Ask &lt;us&gt; &amp; we help.</Message></Response>"
    )
    assert answer_of(doors, "I cannot stop buying", "SM3").content.endswith(
        b"<Response></Response>"
    )
    assert nothing_happened()


def test_a_record_that_comes_after_a_bounce_changes_no_suppression(doors, person):
    make_message(profile=person)
    [message] = claim()
    mark([message], address="old@shop.example")
    post_signed(doors, [{"kind": "bounced", "message_id": str(message.key)}])
    result = judge(message, Accepted("x"), attempt=1, now=NOON)
    assert result.state == "accepted"
    record(message, Accepted("x"))
    assert suppressed() == {"old@shop.example": "bounced"}
