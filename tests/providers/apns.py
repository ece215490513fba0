"""A local APNs: HTTP/2 over TLS.

    python -m tests.providers.apns --port 0 --ledger FILE --folder FOLDER [--captured FOLDER]

It verifies the provider token (signature, key id, team, age, how often it changes on a
connection's account), the topic, the headers, and the size and shape of every payload.
Faults (see `faults.py`), matched by device token: each reason of Apple's list by its name, such as
"BadDeviceToken" or "Unregistered", "chatty" (a reason that repeats the token), and those of
`http2.py`.
"""

import argparse
import json
import re
import time
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests.providers import jwt
from tests.providers.captured import Captured
from tests.providers.certificates import write_key
from tests.providers.faults import Fault, Faults
from tests.providers.http2 import UNHANDLED, Answer, Provider
from tests.providers.serving import Service, as_command

LIMIT = 4_096
OLDEST_TOKEN_SECONDS = 3_600
YOUNGEST_TOKEN_SECONDS = 1_200
DEVICE = re.compile(r"/3/device/([0-9a-fA-F]{64,200})")
PUSH_TYPES = {"alert", "background", "location", "voip", "complication", "fileprovider", "mdm"}
# https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
REASONS = {
    400: "BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic"
    " DeviceTokenNotForTopic DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken"
    " MissingTopic PayloadEmpty TopicDisallowed",
    403: "BadCertificate BadCertificateEnvironment BadEnvironmentKeyIdInToken"
    " ExpiredProviderToken Forbidden InvalidProviderToken MissingProviderToken"
    " UnrelatedKeyIdInToken",
    404: "BadPath",
    405: "MethodNotAllowed",
    410: "ExpiredToken Unregistered",
    413: "PayloadTooLarge",
    429: "TooManyProviderTokenUpdates TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable Shutdown",
}
STATUS = {reason: status for status, line in REASONS.items() for reason in line.split()}


class Apns(Provider):
    key_id, team_id, topic = "ABC123DEFG", "TEAM567890", "example.shop.app"

    def __init__(
        self,
        ledger: Path,
        *,
        folder: Path,
        port: int = 0,
        captured: Path | None = None,
        faults: Faults | None = None,
    ) -> None:
        super().__init__(ledger, folder=folder, port=port, faults=faults)
        self.captured = Captured(captured, title="Captured pushes to iOS") if captured else None
        self.key_file = folder / "AuthKey.p8"
        self.public_key = write_key(self.key_file, ec.generate_private_key(ec.SECP256R1()))
        self.tokens: dict[str, float] = {}  # provider token → when it was first seen
        self.answered: list[tuple[int, str]] = []

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.requests += 1
        answer = self._answer(path, headers, body)
        reason = answer.content.get("reason", "") if isinstance(answer.content, dict) else ""
        self.answered.append((answer.status, reason))
        return answer

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if reason := self._check_token(headers.get("authorization", "")):
            return refuse(reason)
        if headers.get(":method") != "POST":
            return refuse("MethodNotAllowed")
        device = DEVICE.fullmatch(path)
        if device is None:
            return refuse("BadDeviceToken" if path.startswith("/3/device/") else "BadPath")
        if reason := self._check_headers(headers) or check_payload(body):
            return refuse(reason)
        return self._deliver(device[1], headers, body)

    def _check_token(self, authorization: str) -> str:
        token = authorization.removeprefix("bearer ")
        if token == authorization:
            return "MissingProviderToken"
        try:
            header, claims = jwt.decode(token, self.public_key)
        except ValueError:
            return "InvalidProviderToken"
        if header.get("kid") != self.key_id or claims.get("iss") != self.team_id:
            return "InvalidProviderToken"
        now = time.time()
        if not 0 <= now - claims["iat"] <= OLDEST_TOKEN_SECONDS:
            return "ExpiredProviderToken"
        if token not in self.tokens:
            if any(now - at < YOUNGEST_TOKEN_SECONDS for at in self.tokens.values()):
                return "TooManyProviderTokenUpdates"
            self.tokens[token] = now
        return ""

    def _check_headers(self, headers: dict[str, str]) -> str:
        if headers.get("apns-topic") != self.topic:
            return "BadTopic" if "apns-topic" in headers else "MissingTopic"
        if headers.get("apns-push-type") not in PUSH_TYPES:
            return "InvalidPushType"
        if headers.get("apns-priority", "10") not in {"1", "5", "10"}:
            return "BadPriority"
        if len(headers.get("apns-collapse-id", "").encode()) > 64:
            return "BadCollapseId"
        if not headers.get("apns-expiration", "0").isdecimal():
            return "BadExpirationDate"
        try:
            uuid.UUID(headers.get("apns-id", str(uuid.UUID(int=0))))
        except ValueError:
            return "BadMessageId"
        return ""

    def _deliver(self, device: str, headers: dict[str, str], body: bytes) -> Answer:
        fault = self.faults.take(device)
        if fault and fault.action == "chatty":
            return Answer(400, {"reason": f"NoSuchDevice {device}"}, fault=fault)
        if fault and fault.action in UNHANDLED:
            return Answer(0, fault=fault)
        if fault and fault.action in STATUS:
            return refuse(fault.action, fault)
        number = headers.get("apns-id") or str(uuid.uuid4())
        payload = json.loads(body)
        self.ledger.write(key=payload.get("key", ""), to=device, id=number)
        if self.captured:
            shown = {name: value for name, value in headers.items() if name.startswith("apns-")}
            self.captured.add_push(
                {
                    "token": device,
                    "notification": payload["aps"]["alert"],
                    "headers": shown,
                    "payload": payload,
                }
            )
        known = {} if fault and fault.action == "html" else {"apns-id": number.upper()}
        return Answer(200, headers=known, fault=fault)


def refuse(reason: str, fault: Fault | None = None) -> Answer:
    status, content = STATUS[reason], {"reason": reason}
    if status == 410:
        content["timestamp"] = int(time.time() * 1000)
    headers = {"retry-after": fault.retry_after} if fault and fault.retry_after else {}
    return Answer(status, content, headers, fault)


def check_payload(body: bytes) -> str:
    if not body:
        return "PayloadEmpty"
    if len(body) > LIMIT:
        return "PayloadTooLarge"
    try:
        alert = json.loads(body)["aps"]["alert"]
    except (ValueError, KeyError, TypeError):
        return "PayloadEmpty"
    return "" if alert else "PayloadEmpty"


def make(options: argparse.Namespace) -> Service:
    apns = Apns(
        options.ledger,
        folder=options.folder,
        port=options.port,
        captured=options.captured,
        faults=options.faults,
    )
    return Service(
        apns,
        lambda: {
            "port": apns.port,
            "url": apns.url,
            "ca_file": str(apns.ca_file),
            "key_file": str(apns.key_file),
            "key_id": apns.key_id,
            "team_id": apns.team_id,
            "topic": apns.topic,
            "captured": str(apns.captured.index) if apns.captured else "",
        },
    )


if __name__ == "__main__":
    as_command(__doc__, make, folder="certificate and key", captured=True)
