"""Amazon's messages, signed by a certificate of our own that stands in for theirs."""

import base64
import json
from datetime import UTC, datetime, timedelta
from unittest.mock import create_autospec

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from delivery.hooks import sns
from delivery.models import Receipt, Suppression
from engage.lib.errors import Unavailable
from engage.lib.http import NoAnswer, Response
from tests.delivery.hooks.conftest import BASIC

pytestmark = pytest.mark.django_db
REGION = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"{REGION}/SimpleNotificationService-0a1b.pem"
TOPIC = "arn:aws:sns:eu-west-1:1:mail"
CONFIRM = f"{REGION}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
HASHES = {"1": hashes.SHA1, "2": hashes.SHA256}


def make_pem(key=KEY, *, days: tuple[int, int] = (-1, 30)) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begin, end = (datetime.now(UTC) + timedelta(days=one) for one in days)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def fetched(monkeypatch):
    """What our own door was asked for; every address there has the certificate."""
    door = create_autospec(sns.fetch, return_value=make_pem())
    monkeypatch.setattr(sns, "fetch", door)
    sns.load_certificate.cache_clear()
    yield door
    sns.load_certificate.cache_clear()


@pytest.fixture
def amazon(doors, settings):
    settings.EMAIL_ESP = "amazon_ses"
    return doors


def bounce(mail, **more) -> dict:
    told = {
        "eventType": "Bounce",
        "mail": {
            "messageId": "0102-ses",
            "destination": ["old@shop.example"],
            "headers": [{"name": "Message-ID", "value": f"<{mail.key}@shop.example>"}],
        },
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [{"emailAddress": "old@shop.example"}],
        },
    }
    return notification(Message=json.dumps(told), **more)


def notification(**more) -> dict:
    return {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": TOPIC,
        "Message": "{}",
        "Timestamp": "2026-11-02T12:00:00.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
        **more,
    }


def confirmation(**more) -> dict:
    kind = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": CONFIRM}
    return notification(**kind, **more)


def signed(said: dict, *, key=KEY) -> dict:
    """As Amazon documents it, written down a second time."""
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn",
             "Type"]  # fmt: skip
    text = "".join(f"{name}\n{said[name]}\n" for name in names if name in said)
    made = HASHES.get(said["SignatureVersion"], hashes.SHA256)()
    signature = key.sign(text.encode(), padding.PKCS1v15(), made)
    return said | {"Signature": base64.b64encode(signature).decode()}


def post(client, said, *, password: str = BASIC):
    known = said if isinstance(said, dict) else {}
    headers = {
        "X-Amz-Sns-Message-Type": str(known.get("Type")),
        "X-Amz-Sns-Message-Id": str(known.get("MessageId")),
        "Authorization": password,
    }
    body = json.dumps(said)
    return client.post("/hooks/amazon_ses/", body, content_type="text/plain", headers=headers)


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_bounce_that_amazon_signed_is_a_receipt_of_its_message(amazon, fetched, mail, version):
    answer = post(amazon, signed(bounce(mail, SignatureVersion=version, Subject="Bounced")))
    assert answer.json() == {"new": 1, "known": 0, "unknown": 0}
    assert Receipt.objects.get().message_id == mail.id
    assert Suppression.objects.get().reason == "bounced"


def test_a_certificate_is_fetched_once(amazon, fetched, mail):
    for _ in range(3):
        assert post(amazon, signed(bounce(mail))).status_code == 200
    fetched.assert_called_once_with(CERTIFICATE)


def test_what_amazon_did_not_sign_changes_nothing(amazon, fetched, mail):
    said = signed(bounce(mail))
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = [
        bounce(mail),  # no signature at all
        said | {"Message": said["Message"].replace("old@", "new@")},
        said | {"Timestamp": "2026-11-02T12:00:01.000Z"},
        said | {"Subject": "one more line"},
        said | {"SignatureVersion": "1"},
        said | {"SignatureVersion": "3"},
        said | {"SignatureVersion": ["2"]},
        said | {"Signature": "not base64!"},
        said | {"Signature": 1},
        signed(bounce(mail), key=stranger),
    ]
    answers = [post(amazon, one) for one in forged]
    assert [answer.status_code for answer in answers] == [403] * len(forged)
    assert not Receipt.objects.exists()
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        None, 1, "", "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0a.pem",
        "https://sns.s3.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.s3-eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com/../SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com/?Action=Publish&x=/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem\n",
        "https://169.254.169.254/SimpleNotificationService-0a.pem",
        "file:///etc/passwd",
    ],
)  # fmt: skip
def test_no_certificate_is_fetched_from_anywhere_else(amazon, fetched, mail, url):
    assert post(amazon, signed(bounce(mail, SigningCertURL=url))).status_code == 403
    fetched.assert_not_called()


@pytest.mark.parametrize(
    "host", ["sns.us-gov-west-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn",
             "sns.ap-southeast-2.amazonaws.com", "sns.eusc-de-east-1.amazonaws.eu"],
)  # fmt: skip
def test_every_region_of_amazon_is_known(host):
    assert sns.CERTIFICATE_URL.fullmatch(f"https://{host}/SimpleNotificationService-0a1b.pem")


@pytest.mark.parametrize("days", [(-30, -1), (1, 30)])
def test_a_certificate_holds_only_in_its_time(amazon, fetched, mail, days):
    fetched.return_value = make_pem(days=days)
    assert post(amazon, signed(bounce(mail))).status_code == 403


def test_a_certificate_of_another_kind_is_none_of_amazon_s(amazon, fetched, mail):
    fetched.return_value = make_pem(ec.generate_private_key(ec.SECP256R1()))
    assert post(amazon, signed(bounce(mail))).status_code == 403


@pytest.mark.parametrize("trouble", [{"side_effect": Unavailable("away")}, {"return_value": b""}])
def test_amazon_is_asked_to_come_again_while_its_certificate_cannot_be_had(
    amazon, fetched, mail, trouble
):
    fetched.mock.configure_mock(**trouble)
    answer = post(amazon, signed(bounce(mail)))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert not Receipt.objects.exists()
    fetched.mock.configure_mock(side_effect=None, return_value=make_pem())
    assert post(amazon, signed(bounce(mail))).json()["new"] == 1


def test_nothing_is_fetched_for_who_has_no_password(amazon, fetched, mail):
    wrong = "Basic " + base64.b64encode(b"hooks:another-long-password").decode()
    assert post(amazon, signed(bounce(mail)), password=wrong).status_code == 403
    fetched.assert_not_called()


def test_only_topics_that_are_named_are_heard(amazon, fetched, mail, settings):
    """Anybody may own a topic, and has Amazon sign what it tells."""
    settings.SNS_TOPICS = [f"{TOPIC}s", "arn:aws:sns:eu-west-1:2:mail"]
    no_text = signed(bounce(mail)) | {"TopicArn": [f"{TOPIC}s"]}
    for said in (signed(bounce(mail)), signed(confirmation()), no_text):
        answer = post(amazon, said)
        assert (answer.status_code, answer.json()["code"]) == (403, "forged_receipt")
    fetched.assert_not_called()
    assert not Receipt.objects.exists()
    settings.SNS_TOPICS += [TOPIC]
    assert post(amazon, signed(bounce(mail))).json()["new"] == 1


def test_a_subscription_is_confirmed_at_amazon_s_own_address(amazon, fetched):
    assert post(amazon, signed(confirmation())).json()["new"] == 0
    assert [call.args for call in fetched.call_args_list] == [(CERTIFICATE,), (CONFIRM,)]


@pytest.mark.parametrize(
    "url", ["https://evil.example/?Action=ConfirmSubscription&Token=t",
            f"{REGION}/?Action=DeleteTopic&Token=t",
            "http://169.254.169.254/?Action=ConfirmSubscription&Token=t"],
)  # fmt: skip
def test_a_confirmation_leads_nowhere_else(amazon, fetched, url):
    assert post(amazon, signed(confirmation() | {"SubscribeURL": url})).status_code == 403
    assert [call.args for call in fetched.call_args_list] == [(CERTIFICATE,)]


@pytest.mark.parametrize(
    "said", [[], "x", None, {}, {"Type": 1}, notification(Message=1, Signature="eA=="),
             notification(Type="Other", Signature="eA==")],
)  # fmt: skip
def test_what_sns_would_not_write_breaks_nothing(amazon, fetched, said):
    assert post(amazon, said).status_code in {400, 403}
    fetched.assert_not_called()


@pytest.mark.parametrize(
    "answer", [NoAnswer("timeout", sent=True), Response(302, {}, b""), Response(500, {}, b"x")]
)
def test_any_other_answer_than_a_whole_one_is_none(monkeypatch, answer):
    door = create_autospec(sns.OutboundDoor, instance=True)
    door.fetch.return_value = [answer]
    monkeypatch.setattr(sns, "OutboundDoor", lambda: door)
    with pytest.raises(Unavailable):
        sns.fetch(CERTIFICATE)
    door.fetch.assert_called_once()
    assert door.fetch.call_args.kwargs == {"timeout_seconds": 5.0, "most_bytes": 16_384}
    door.close.assert_called_once_with()
