"""Amazon's SES tells by SNS: who signed a message, and confirming that we want them.

The password in the address says that the topic is ours: anybody's topic has Amazon's signature.
The signature says that the message is Amazon's, should the password have leaked; and where
ENGAGE_SNS_TOPICS names our topics, it says that the message is of one of them.
"""

import base64
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView
from anymail.webhooks.base import AnymailBaseWebhookView
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings
from django.http import HttpRequest

from delivery.errors import ForgedReceipt
from engage.lib import clock
from engage.lib.errors import InvalidInput, Unavailable
from engage.lib.http import Request, Response
from engage.lib.outbound import OutboundDoor

# The region is spelled out: "sns.s3.amazonaws.com" is a bucket that anybody could have made.
HOST: Final = r"https://sns\.[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}\.amazonaws\.(?:com|com\.cn|eu)"
CERTIFICATE_URL: Final = re.compile(rf"{HOST}/SimpleNotificationService-[0-9A-Za-z]{{1,64}}\.pem")
CONFIRMATION_URL: Final = re.compile(rf"{HOST}/\?Action=ConfirmSubscription&[!-~]{{1,2000}}")
HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {"1": hashes.SHA1, "2": hashes.SHA256}
SIGNED: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(
        ("SubscriptionConfirmation", "UnsubscribeConfirmation"),
        ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
OPTIONAL: Final = "Subject"
FETCH_SECONDS: Final = 5.0
MOST_BYTES: Final = 16_384  # a certificate has two thousand
MOST_CERTIFICATES: Final = 16  # Amazon has one at a time for each region
PROOF: Final = ("SignatureVersion", "Signature", "SigningCertURL")
Said = Mapping[str, Any]


class SesView(AmazonSESTrackingWebhookView):  # type: ignore[misc]
    """Anymail's reader; what it would do by boto3 goes out by our own door."""

    def __init__(self, **options: Any) -> None:
        AnymailBaseWebhookView.__init__(self, **options)

    def validate_request(self, request: HttpRequest) -> None:
        """The first of the chain that is called: no password, nothing is fetched."""
        AnymailBaseWebhookView.validate_request(self, request)
        said = self._parse_sns_message(request)
        if not isinstance(said, dict):
            raise InvalidInput("A message of SNS is a JSON object.")
        check(said, topics=settings.SNS_TOPICS, now=clock.now())

    def auto_confirm_sns_subscription(self, sns_message: Said) -> None:
        confirm(sns_message)

    def esp_to_anymail_events(self, ses_event: Any, sns_message: Said) -> list[Any]:
        """Mail goes to SES by SMTP: of our names for it, the Message-ID comes back."""
        events: list[Any] = super().esp_to_anymail_events(ses_event, sns_message)
        for header in ses_event.get("mail", {}).get("headers", []):
            if str(header["name"]).lower() == "message-id":
                for event in events:
                    event.metadata = {"key": header["value"]}
        return events


def fetch(url: str) -> bytes:
    """Raises Unavailable: SNS tries again for an hour."""
    door = OutboundDoor()
    try:
        [answer] = door.fetch(
            [Request(url=url, body=b"", method="GET")],
            timeout_seconds=FETCH_SECONDS,
            most_bytes=MOST_BYTES,
        )
    finally:
        door.close()
    if not isinstance(answer, Response) or answer.status != 200:
        raise Unavailable("Amazon did not answer. Send it again later.")
    return answer.body


@lru_cache(maxsize=MOST_CERTIFICATES)
def load_certificate(url: str) -> x509.Certificate:
    """Raises Unavailable. A new certificate of Amazon's has a new address."""
    try:
        return x509.load_pem_x509_certificate(fetch(url))
    except ValueError as exc:
        raise Unavailable("Amazon's certificate cannot be read.") from exc


def check(said: Said, *, topics: Collection[str], now: datetime) -> None:
    """Raises ForgedReceipt for what Amazon did not sign, Unavailable when that cannot be told.

    `topics`: those that may tell us something; none: any.
    """
    if topics and said.get("TopicArn") not in topics:
        raise ForgedReceipt("The topic is none of ours.")
    version, signature, url = (said.get(name) for name in PROOF)
    make_hash = HASHES.get(version) if isinstance(version, str) else None
    if make_hash is None or not isinstance(signature, str):
        raise ForgedReceipt("Amazon's signature is missing.")
    if not isinstance(url, str) or not CERTIFICATE_URL.fullmatch(url):
        raise ForgedReceipt("The certificate is not at Amazon's.")
    signed = list_signed(said)
    certificate = load_certificate(url)
    key = certificate.public_key()
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ForgedReceipt("The certificate of the signature is not valid now.")
    if not isinstance(key, rsa.RSAPublicKey):
        raise ForgedReceipt("The certificate has no RSA key.")
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, signed, padding.PKCS1v15(), make_hash())
    except (InvalidSignature, ValueError) as exc:
        raise ForgedReceipt("The signature is not Amazon's.") from exc


def list_signed(said: Said) -> bytes:
    """Name and value of each signed field, a line each."""
    names = SIGNED.get(str(said.get("Type")), ())
    if not names:
        raise InvalidInput("Type: expected one that SNS sends.")
    lines: list[str] = []
    for name in names:
        value = said.get(name)
        if value is None and name == OPTIONAL:
            continue
        if not isinstance(value, str):
            raise InvalidInput(f"{name}: a message of SNS has a text here.")
        lines += (name, value)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def confirm(said: Said) -> None:
    """Say that we want what the topic tells; `said` was checked before."""
    url = said.get("SubscribeURL")
    if not isinstance(url, str) or not CONFIRMATION_URL.fullmatch(url):
        raise ForgedReceipt("The confirmation does not lead to Amazon.")
    fetch(url)
