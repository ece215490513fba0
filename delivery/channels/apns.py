"""Push by Apple's service (APNs): HTTP/2, one request per message, many at once."""

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from delivery.channels import es256
from delivery.drafts import Accepted, Draft, Outcome, PushContent, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured
from engage.lib import clock
from engage.lib.http import (
    DISOWNED,
    TIMEOUT,
    Door,
    NoAnswer,
    Request,
    Response,
    retry_after_seconds,
)

logger = logging.getLogger(__name__)

LARGEST_PAYLOAD = 4_096  # bytes
# Apple refuses tokens older than 60 minutes, and new ones more often than every 20.
TOKEN_SECONDS = 2_400
YOUNGEST_TOKEN_SECONDS = 1_200
NEVER = 0.0  # no token yet
NOT_SENT_YET = TryLater("no_time")

DEVICE_TOKEN: Final = re.compile(r"[0-9a-fA-F]{64,200}")
TEN: Final = re.compile(r"[A-Z0-9]{10}")
TOPIC: Final = re.compile(r"[A-Za-z0-9.-]{1,255}")

GONE: Final = {"Unregistered", "ExpiredToken"}
# As gone, unless it is us: with the address of the sandbox or the name of another app, every
# token looks like this.
NOT_OURS: Final = {"BadDeviceToken", "DeviceTokenNotForTopic"}
EXPIRED: Final = "ExpiredProviderToken"
# What our key, our settings or our clock did: nobody is reached before somebody has looked.
OUR_FAULT: Final = {
    EXPIRED, "TooManyProviderTokenUpdates", "InvalidProviderToken", "MissingProviderToken",
    "BadCertificate", "BadCertificateEnvironment", "BadEnvironmentKeyIdInToken",
    "UnrelatedKeyIdInToken", "Forbidden", "BadTopic", "MissingTopic", "TopicDisallowed",
}  # fmt: skip
AWAY: Final = {"IdleTimeout", "InternalServerError", "ServiceUnavailable", "Shutdown"}
# Of this one message, whatever we do.
REFUSED: Final = {
    "BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPath", "BadPriority",
    "DuplicateHeaders", "InvalidPushType", "MethodNotAllowed", "MissingDeviceToken",
    "PayloadEmpty", "PayloadTooLarge",
}  # fmt: skip
KNOWN: Final = GONE | NOT_OURS | OUR_FAULT | AWAY | REFUSED | {"TooManyRequests"}
REFUSALS: Final = {400, 404, 405, 410, 413}  # without a word of Apple
LATEST_MS: Final = 2**53  # of a moment; more is none


@dataclass(frozen=True, slots=True)
class Account:
    key: ec.EllipticCurvePrivateKey
    key_id: str
    team_id: str
    topic: str


def read_account() -> Account:
    """What the settings ENGAGE_APNS_… say. Raises ChannelNotConfigured."""
    if not settings.APNS_KEY_FILE:
        raise ChannelNotConfigured("ENGAGE_APNS_KEY_FILE is not set: expected a .p8 file of Apple")
    try:
        key = es256.read_key(settings.APNS_KEY_FILE)
    except (OSError, ValueError) as exc:
        raise ChannelNotConfigured(
            f"ENGAGE_APNS_KEY_FILE cannot be used ({type(exc).__name__}): expected the .p8 file of"
            " a key for APNs, from the Apple developer account"
        ) from exc
    for name, value, shape, wanted in (
        ("ENGAGE_APNS_KEY_ID", settings.APNS_KEY_ID, TEN, "the ten characters of the key's id"),
        ("ENGAGE_APNS_TEAM_ID", settings.APNS_TEAM_ID, TEN, "the ten characters of the team's id"),
        ("ENGAGE_APNS_TOPIC", settings.APNS_TOPIC, TOPIC, "the app's bundle id"),
    ):
        if not shape.fullmatch(value):
            raise ChannelNotConfigured(f"{name} cannot be used: expected {wanted}")
    return Account(key, settings.APNS_KEY_ID, settings.APNS_TEAM_ID, settings.APNS_TOPIC)


class ApnsChannel:
    batch_size: ClassVar[int] = 50

    def __init__(self) -> None:
        self.account = read_account()
        if not settings.APNS_URL.startswith("https://"):
            raise ChannelNotConfigured("ENGAGE_APNS_URL must begin with https://")
        self.url = settings.APNS_URL
        self.door = Door()
        self.token = ""
        self.token_at = NEVER  # by the wall clock, as Apple reckons
        self.has_reached = False  # a device of the app: address and topic are right

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        deadline = time.monotonic() + settings.PROVIDER_TIMEOUT_SECONDS
        bodies = [encode(draft) for draft in drafts]
        outcomes: list[Outcome] = [
            NOT_SENT_YET if isinstance(body, bytes) else body for body in bodies
        ]
        wanted = {n: body for n, body in enumerate(bodies) if isinstance(body, bytes)}
        if not self._is_token_younger_than(TOKEN_SECONDS):
            self._renew_token()
        expired = self._round(drafts, wanted, outcomes, deadline)
        # A second one soon after the first would be refused too: then the clocks disagree.
        if expired and not self._is_token_younger_than(YOUNGEST_TOKEN_SECONDS):
            self._renew_token()
            if time.monotonic() < deadline:
                self._round(drafts, expired, outcomes, deadline)
        return outcomes

    def _round(
        self,
        drafts: Sequence[Draft],
        wanted: Mapping[int, bytes],
        outcomes: list[Outcome],
        deadline: float,
    ) -> dict[int, bytes]:
        """Ask for the wanted ones; which of them were refused because our token is too old."""
        if not wanted:
            return {}
        requests = [self._request(drafts[n], body) for n, body in wanted.items()]
        left = max(deadline - time.monotonic(), 0.1)
        found = self.door.fetch(requests, timeout_seconds=left)
        self.has_reached |= any(isinstance(a, Response) and a.status == 200 for a in found)
        answers = dict(zip(wanted, found, strict=True))
        for n, answer in answers.items():
            outcomes[n] = judge(answer, drafts[n], has_reached=self.has_reached)
        return {n: body for n, body in wanted.items() if find_reason(answers[n]) == EXPIRED}

    def _request(self, draft: Draft, body: bytes) -> Request:
        content = draft.content
        assert isinstance(content, PushContent)  # noqa: S101 - checked by `encode`
        headers = [
            f"authorization: bearer {self.token}",
            f"apns-topic: {self.account.topic}",
            f"apns-id: {draft.message_id}",
            f"apns-collapse-id: {draft.key.hex}",  # a second one replaces the first on the screen
            "apns-push-type: alert",
            "apns-priority: 10",
            "content-type: application/json",
        ]
        if content.ttl_seconds is not None:
            headers.append(f"apns-expiration: {expiration(content.ttl_seconds)}")
        return Request(
            url=f"{self.url}/3/device/{draft.address}",
            headers=headers,
            body=body,
        )

    def _is_token_younger_than(self, seconds: float) -> bool:
        return 0 <= time.time() - self.token_at < seconds  # no: also when the clock was set back

    def _renew_token(self) -> None:
        self.token_at = time.time()
        claims = {"iss": self.account.team_id, "iat": int(self.token_at)}
        self.token = es256.sign(self.account.key, claims, key_id=self.account.key_id)


def expiration(ttl_seconds: int) -> int:
    """A moment, not a duration; 0: now or never."""
    return int(time.time()) + ttl_seconds if ttl_seconds > 0 else 0


def encode(draft: Draft) -> bytes | Refused:
    """The request's body. With an image, the app's extension gets the push before it is shown."""
    content = draft.content
    if not isinstance(content, PushContent) or not DEVICE_TOKEN.fullmatch(draft.address):
        return Refused("invalid_address")
    data: dict[str, Any] = {
        **content.data,
        "message_id": str(draft.message_id),
        "key": str(draft.key),
    }
    alert = {"title": content.title, "body": content.body}
    aps: dict[str, Any] = {"alert": {name: text for name, text in alert.items() if text}}
    if content.link:
        data["link"] = content.link
    if content.image:
        data["image"] = content.image
        aps["mutable-content"] = 1
    body = msgspec.json.encode({**data, "aps": aps})
    return body if len(body) <= LARGEST_PAYLOAD else Refused("payload_too_large")


def judge(answer: Response | NoAnswer, draft: Draft, *, has_reached: bool) -> Outcome:
    """Apple's word for what happened; the HTTP status only where there is none."""
    if isinstance(answer, NoAnswer):
        if answer.sent:
            return Unknown(answer.reason, everybody=answer.reason == TIMEOUT)
        return TryLater(answer.reason, everybody=answer.reason != DISOWNED)
    if answer.status == 200:
        # Only Apple repeats the id: a page of somebody in between does not.
        said = answer.headers.get("apns-id", "").lower()
        return Accepted(said) if said == str(draft.message_id) else Unknown("malformed_answer")
    word = find_reason(answer)
    reason = snake_case(word) or f"http_{answer.status}"
    wait = retry_after_seconds(answer, now=clock.now())
    gone = word in GONE or (word in NOT_OURS and has_reached)
    if word in OUR_FAULT or (word in NOT_OURS and not gone):
        logger.warning("push refused", extra={"reason": reason})
    if word in GONE | NOT_OURS | REFUSED or (not word and answer.status in REFUSALS):
        return Refused(reason, gone=gone, gone_ms=find_timestamp(answer) if gone else None)
    # The rest: a busy device, our account, or Apple.
    return TryLater(reason, wait, everybody=answer.status != 429 or word in OUR_FAULT)


def find_reason(answer: Response | NoAnswer) -> str:
    """Apple's word; empty when there is none, or none that we know."""
    if isinstance(answer, NoAnswer) or answer.status == 200:
        return ""
    word = _read(answer).get("reason")
    return word if isinstance(word, str) and word in KNOWN else ""


def find_timestamp(answer: Response) -> int | None:
    """When the token ended, in ms; Apple says so with a 410."""
    moment = _read(answer).get("timestamp")
    if not isinstance(moment, int) or isinstance(moment, bool):
        return None
    return moment if 0 < moment < LATEST_MS else None


def _read(answer: Response) -> dict[str, Any]:
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def snake_case(word: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", word).lower()
