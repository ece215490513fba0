"""Push by Firebase Cloud Messaging, HTTP v1: one request per message, many at once."""

import json
import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import msgspec
from django.conf import settings
from google.auth import crypt, jwt

from delivery.channels.apns import expiration
from delivery.drafts import Accepted, Draft, Outcome, PushContent, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured, ChannelUnavailable
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

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LARGEST_PAYLOAD = 4_096  # bytes of notification and data
LONGEST_TTL_SECONDS = 2_419_200  # four weeks; a message with more is refused
ASSERTION_SECONDS = 3_600
REFRESH_AT = 5 / 6  # of a token's life
LONGEST_GRANT_SECONDS = 86_400  # of an access token, whatever its giver says
TOKEN: Final = re.compile(r"[!-~]+")  # it goes into a header
QUOTA_SECONDS = 60.0  # to wait after 429 when the answer does not say
NOT_SENT_YET = TryLater("no_time")
CODES: Final = (
    "UNREGISTERED", "INVALID_ARGUMENT", "SENDER_ID_MISMATCH", "THIRD_PARTY_AUTH_ERROR",
    "QUOTA_EXCEEDED", "UNAVAILABLE", "INTERNAL",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    project: str
    email: str
    token_url: str
    signer: Any


def read_account(path: str) -> Account:
    """The service account of ENGAGE_FCM_CREDENTIALS_FILE. Raises ChannelNotConfigured."""
    wanted = "expected the JSON file of a service account, from the Firebase console"
    if not path:
        raise ChannelNotConfigured(f"ENGAGE_FCM_CREDENTIALS_FILE is not set: {wanted}")
    try:
        facts = json.loads(Path(path).read_text())
        account = Account(
            project=facts["project_id"],
            email=facts["client_email"],
            token_url=facts["token_uri"],
            signer=crypt.RSASigner.from_service_account_info(facts),  # type: ignore[no-untyped-call]
        )
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ChannelNotConfigured(
            f"ENGAGE_FCM_CREDENTIALS_FILE cannot be used ({type(exc).__name__}): {wanted}"
        ) from exc
    if not account.token_url.startswith("https://"):
        raise ChannelNotConfigured(f"the account's token_uri is not https: {wanted}")
    return account


class Grant(msgspec.Struct):
    access_token: str
    expires_in: int


decode_grant: Final = msgspec.json.Decoder(Grant, strict=False).decode


def read_grant(body: bytes) -> tuple[str, float]:
    """The access token and how many seconds it lives. Raises ValueError for what is none."""
    grant = decode_grant(body)
    if not TOKEN.fullmatch(grant.access_token):
        raise ValueError("no access token")
    return grant.access_token, float(min(max(grant.expires_in, 0), LONGEST_GRANT_SECONDS))


class FcmChannel:
    batch_size: ClassVar[int] = 50

    def __init__(self) -> None:
        self.account = read_account(settings.FCM_CREDENTIALS_FILE)
        if not settings.FCM_URL.startswith("https://"):
            raise ChannelNotConfigured("ENGAGE_FCM_URL must begin with https://")
        self.url = f"{settings.FCM_URL}/v1/projects/{self.account.project}/messages:send"
        self.door = Door()
        self.token = ""
        self.token_until = 0.0  # monotonic

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Raises ChannelUnavailable when there is no access token to be had."""
        deadline = time.monotonic() + settings.PROVIDER_TIMEOUT_SECONDS
        bodies = [encode(draft) for draft in drafts]
        outcomes: list[Outcome] = [
            NOT_SENT_YET if isinstance(body, bytes) else body for body in bodies
        ]
        wanted = {n: body for n, body in enumerate(bodies) if isinstance(body, bytes)}
        refused = self._round(wanted, outcomes, deadline)
        if refused and time.monotonic() < deadline:
            # A token may be refused before its time, for instance after a change of keys.
            self.token = ""
            with suppress(ChannelUnavailable):  # the first round's answers stand
                self._round(refused, outcomes, deadline)
        return outcomes

    def _round(
        self, wanted: Mapping[int, bytes], outcomes: list[Outcome], deadline: float
    ) -> dict[int, bytes]:
        """Ask for the wanted ones; which of them were refused because of our token."""
        if not wanted:
            return {}
        answers = dict(zip(wanted, self._ask(wanted.values(), deadline), strict=True))
        for n, answer in answers.items():
            outcomes[n] = judge(answer)
        return {n: body for n, body in wanted.items() if is_token_refused(answers[n])}

    def _ask(self, bodies: Iterable[bytes], deadline: float) -> list[Response | NoAnswer]:
        headers = [
            f"Authorization: Bearer {self._access_token(deadline)}",
            "Content-Type: application/json",
        ]
        requests = [Request(url=self.url, headers=headers, body=body) for body in bodies]
        left = max(deadline - time.monotonic(), 0.1)
        return self.door.fetch(requests, timeout_seconds=left)

    def _access_token(self, deadline: float) -> str:
        if not self.token or time.monotonic() >= self.token_until:
            answer = self._log_in(max(deadline - time.monotonic(), 0.1))
            if not isinstance(answer, Response):
                raise ChannelUnavailable(f"no access token: {answer.reason}")
            try:
                token, seconds = read_grant(answer.body)
            except (msgspec.DecodeError, ValueError, RecursionError) as exc:
                raise ChannelUnavailable(
                    f"no access token: the token endpoint answered {answer.status}",
                    retry_after_seconds=retry_after_seconds(answer, now=clock.now()),
                ) from exc
            self.token, self.token_until = token, time.monotonic() + seconds * REFRESH_AT
        return self.token

    def _log_in(self, timeout_seconds: float) -> Response | NoAnswer:
        issued = int(time.time())
        claims = {
            "iss": self.account.email,
            "scope": SCOPE,
            "aud": self.account.token_url,
            "iat": issued,
            "exp": issued + ASSERTION_SECONDS,
        }
        assertion = jwt.encode(self.account.signer, claims).decode()  # type: ignore[no-untyped-call]
        request = Request(
            url=self.account.token_url,
            headers=["Content-Type: application/x-www-form-urlencoded"],
            body=urlencode({"grant_type": GRANT, "assertion": assertion}).encode(),
        )
        return self.door.fetch([request], timeout_seconds=timeout_seconds)[0]


def encode(draft: Draft) -> bytes | Refused:
    """The request's body. A second push of the same key replaces the first on the screen.

    `key` is the same on every try: a device can drop repeats by it.
    """
    content = draft.content
    if not isinstance(content, PushContent) or not draft.address:
        return Refused("invalid_address")
    tag = draft.key.hex
    data = {**content.data, "message_id": str(draft.message_id), "key": str(draft.key)}
    if content.link:
        data["link"] = content.link
    shown = {"title": content.title, "body": content.body, "image": content.image}
    payload = {
        "notification": {name: text for name, text in shown.items() if text},
        "data": data,
    }
    android: dict[str, Any] = {"notification": {"tag": tag}}
    web: dict[str, Any] = {"notification": {"tag": tag}}
    apns: dict[str, Any] = {"headers": {"apns-collapse-id": tag}}
    if content.image:  # so that the app's extension can load it
        apns["payload"] = {"aps": {"mutable-content": 1}}
    if content.ttl_seconds is not None:  # each platform has its own word for it
        seconds = min(max(content.ttl_seconds, 0), LONGEST_TTL_SECONDS)
        android["ttl"] = f"{seconds}s"
        web["headers"] = {"TTL": str(seconds)}
        apns["headers"]["apns-expiration"] = str(expiration(seconds))
    if content.link.startswith("https://"):
        web["fcm_options"] = {"link": content.link}
    message = {
        "token": draft.address,
        **payload,
        "android": android,
        "apns": apns,
        "webpush": web,
    }
    body = msgspec.json.encode({"message": message})
    # Only the payload counts, and it is part of the body.
    if len(body) > LARGEST_PAYLOAD < len(msgspec.json.encode(payload)):
        return Refused("payload_too_large")
    return body


def judge(answer: Response | NoAnswer) -> Outcome:
    """Google's word for what happened; the HTTP status only where there is none."""
    if isinstance(answer, NoAnswer):
        if answer.sent:
            return Unknown(answer.reason, everybody=answer.reason == TIMEOUT)
        return TryLater(answer.reason, everybody=answer.reason != DISOWNED)
    content = _read(answer.body)
    if answer.status == 200:
        name = content.get("name")
        return Accepted(name) if isinstance(name, str) else Unknown("malformed_answer")
    return _judge_refusal(answer, _details(content))


def _judge_refusal(answer: Response, details: list[dict[str, Any]]) -> Outcome:
    said = [one["errorCode"] for one in details if "errorCode" in one]
    code = next((word for word in said if word in CODES), "")  # no text of theirs in our reasons
    reason = code.lower() or f"http_{answer.status}"
    wait = retry_after_seconds(answer, now=clock.now())
    match code:
        case "UNREGISTERED":
            return Refused(reason, gone=True)
        case "INVALID_ARGUMENT":
            return Refused(reason, gone=_blames_token(details))
        case "SENDER_ID_MISMATCH":  # the token is of another project: ours or its mistake
            logger.warning("push refused", extra={"reason": reason})
            return Refused(reason)
        case "THIRD_PARTY_AUTH_ERROR":  # our credential at Apple or the browser's service
            logger.warning("push refused", extra={"reason": reason})
            return TryLater(reason, wait)
        case "QUOTA_EXCEEDED":
            return TryLater(reason, wait or QUOTA_SECONDS, everybody=True)
    if answer.status in {400, 413} and not code:
        return Refused(reason)
    return TryLater(reason, wait, everybody=True)  # 429, 5xx, and what is wrong with the account


def is_token_refused(answer: Response | NoAnswer) -> bool:
    if isinstance(answer, NoAnswer) or answer.status != 401:
        return False
    return not any("errorCode" in one for one in _details(_read(answer.body)))


def _blames_token(details: list[dict[str, Any]]) -> bool:
    return any(
        isinstance(violation, dict) and violation.get("field") == "message.token"
        for one in details
        for violation in _list(one.get("fieldViolations"))
    )


def _read(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _details(content: dict[str, Any]) -> list[dict[str, Any]]:
    error = content.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    return [one for one in _list(details) if isinstance(one, dict)]


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []
