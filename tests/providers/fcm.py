"""A local FCM: HTTP/2 over TLS, with the token endpoint of the service account.

    python -m tests.providers.fcm --port 0 --ledger FILE --folder FOLDER [--captured FOLDER]

It verifies the account's signature, the bearer token and the size and shape of every message.
Faults (see `faults.py`), matched by device token: "unregistered", "quota", "unavailable",
"internal", "invalid_token", "sender_mismatch", "third_party", "chatty" (an error that repeats the
token), and those of `http2.py`.
"""

import argparse
import json
import secrets
import time
from pathlib import Path
from urllib.parse import parse_qs

from google.auth import jwt

from tests.providers.captured import Captured
from tests.providers.certificates import make_service_account
from tests.providers.faults import Fault, Faults
from tests.providers.http2 import UNHANDLED, Answer, Provider
from tests.providers.serving import Service, as_command

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
LIMIT = 4_096  # bytes of notification and data together
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ERRORS = {
    "unregistered": (404, "NOT_FOUND", "UNREGISTERED"),
    "quota": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "unavailable": (503, "UNAVAILABLE", "UNAVAILABLE"),
    "internal": (500, "INTERNAL", "INTERNAL"),
    "sender_mismatch": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "third_party": (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
}


class Fcm(Provider):
    def __init__(
        self,
        ledger: Path,
        *,
        folder: Path,
        port: int = 0,
        captured: Path | None = None,
        faults: Faults | None = None,
        token_seconds: int = 3_600,
        project: str = "demo-shop",
    ) -> None:
        super().__init__(ledger, folder=folder, port=port, faults=faults)
        self.captured = Captured(captured, title="Captured pushes") if captured else None
        self.token_seconds = token_seconds
        self.project = project
        self.tokens: dict[str, float] = {}  # bearer token → its end
        self.logins = 0
        self.credentials_file = folder / "service-account.json"

    async def start(self) -> None:
        await super().start()
        self.public_key = make_service_account(
            self.credentials_file, token_uri=f"{self.url}/token", project=self.project
        )

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/token":
            return self._log_in(body)
        if path != f"/v1/projects/{self.project}/messages:send":
            return Answer(404, {"error": {"status": "NOT_FOUND"}})
        self.requests += 1
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.get(bearer, 0) < time.time():
            return Answer(401, {"error": {"status": "UNAUTHENTICATED"}})
        message = json.loads(body)["message"]
        if problem := check_message(message):
            return invalid(*problem)
        return self._deliver(message)

    def _log_in(self, body: bytes) -> Answer:
        form = parse_qs(body.decode())
        try:
            claims = jwt.decode(
                form["assertion"][0],
                certs={"key-1": self._public_pem()},
                audience=f"{self.url}/token",
            )
        except (ValueError, KeyError) as exc:
            return Answer(400, {"error": "invalid_grant", "error_description": str(exc)})
        if claims.get("scope") != SCOPE or claims["exp"] - claims["iat"] > 3_600:
            return Answer(400, {"error": "invalid_scope"})
        self.logins += 1
        token = secrets.token_urlsafe(24)
        self.tokens[token] = time.time() + self.token_seconds
        return Answer(200, {"access_token": token, "expires_in": self.token_seconds})

    def _public_pem(self) -> bytes:
        from cryptography.hazmat.primitives import serialization

        return self.public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _deliver(self, message: dict) -> Answer:
        fault = self.faults.take(message["token"])
        if fault and fault.action in ERRORS:
            return failure(fault)
        if fault and fault.action == "invalid_token":
            return invalid("message.token", "The registration token is not a valid FCM token")
        if fault and fault.action == "chatty":
            return chatty(message["token"])
        if fault and fault.action in UNHANDLED:
            return Answer(0, fault=fault)
        number = f"projects/{self.project}/messages/{secrets.token_hex(8)}"
        self.ledger.write(
            key=message.get("data", {}).get("key", ""), to=message["token"], id=number
        )
        if self.captured:
            self.captured.add_push(message)
        return Answer(200, {"name": number}, fault=fault)


def failure(fault: Fault) -> Answer:
    status, word, code = ERRORS[fault.action]
    detail = {"@type": FCM_ERROR, "errorCode": code}
    error = {"code": status, "status": word, "message": code.lower(), "details": [detail]}
    headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
    return Answer(status, {"error": error}, headers, fault)


def chatty(token: str) -> Answer:
    detail = {"@type": FCM_ERROR, "errorCode": f"NO_SUCH_TOKEN {token}"}
    return Answer(404, {"error": {"message": token, "status": token, "details": [detail]}})


def invalid(where: str, why: str) -> Answer:
    details = [
        {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"},
        {"@type": BAD_REQUEST, "fieldViolations": [{"field": where, "description": why}]},
    ]
    return Answer(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": details}})


def check_message(message: dict) -> tuple[str, str] | None:
    """(field, problem) of a message that FCM would refuse."""
    if not message.get("token"):
        return "message.token", "Exactly one of token, topic or condition is required"
    data = message.get("data", {})
    if not all(isinstance(value, str) for value in data.values()):
        return "message.data", "Values must be strings"
    payload = {"notification": message.get("notification", {}), "data": data}
    if len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > LIMIT:
        return "message", "Message is too big"
    return None


def make(options: argparse.Namespace) -> Service:
    fcm = Fcm(
        options.ledger,
        folder=options.folder,
        port=options.port,
        captured=options.captured,
        faults=options.faults,
    )
    return Service(
        fcm,
        lambda: {
            "port": fcm.port,
            "url": fcm.url,
            "ca_file": str(fcm.ca_file),
            "credentials_file": str(fcm.credentials_file),
            "captured": str(fcm.captured.index) if fcm.captured else "",
        },
    )


if __name__ == "__main__":
    as_command(__doc__, make, folder="certificate and service account", captured=True)
