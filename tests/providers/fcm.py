"""A local FCM: HTTP/2 over TLS, with the token endpoint of the service account.

    python -m tests.providers.fcm --port 0 --ledger FILE --folder FOLDER [--captured FOLDER]

It verifies the account's signature, the bearer token and the size and shape of every message.
Faults (see `faults.py`), matched by device token: "unregistered", "quota", "unavailable",
"internal", "invalid_token", "sender_mismatch", "third_party", "html" (200 and not JSON), "huge",
"reset" (before it is kept), "accept_then_reset"; each may be slow.
"""

import argparse
import asyncio
import json
import secrets
import ssl
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs

from google.auth import jwt
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError

from tests.providers.captured import Captured
from tests.providers.certificates import make_certificates, make_service_account
from tests.providers.faults import Fault, Faults
from tests.providers.ledger import Ledger
from tests.providers.serving import as_process, in_thread

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


class Fcm:
    """The state all connections share."""

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
        self.ledger = Ledger(ledger)
        self.folder = folder
        self.port = port
        self.captured = Captured(captured, title="Captured pushes") if captured else None
        self.faults = faults or Faults()
        self.token_seconds = token_seconds
        self.project = project
        self.tokens: dict[str, float] = {}  # bearer token → its end
        self.logins = 0
        self.requests = 0
        self.connections = 0
        self.ca_file, self.server_file = make_certificates(folder)
        self.credentials_file = folder / "service-account.json"

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file)
        context.set_alpn_protocols(["h2"])
        self.server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), "127.0.0.1", self.port, ssl=context
        )
        self.port = self.server.sockets[0].getsockname()[1]
        self.public_key = make_service_account(
            self.credentials_file, token_uri=f"{self.url}/token", project=self.project
        )

    async def stop(self) -> None:
        self.server.close()
        self.ledger.close()

    def running(self):
        return in_thread(self.start, self.stop)

    def answer(self, path: str, headers: dict, body: bytes) -> "Answer":
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

    def _log_in(self, body: bytes) -> "Answer":
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

    def _deliver(self, message: dict) -> "Answer":
        fault = self.faults.take(message["token"])
        if fault and fault.action in ERRORS:
            return failure(fault)
        if fault and fault.action == "invalid_token":
            return invalid("message.token", "The registration token is not a valid FCM token")
        if fault and fault.action == "reset":
            return Answer(0, {}, fault=fault)
        number = f"projects/{self.project}/messages/{secrets.token_hex(8)}"
        self.ledger.write(
            key=message.get("data", {}).get("key", ""), to=message["token"], id=number
        )
        if self.captured:
            self.captured.add_push(message)
        return Answer(200, {"name": number}, fault=fault)


class Answer:
    def __init__(
        self, status: int, content: dict, *, retry_after: str = "", fault: Fault | None = None
    ) -> None:
        self.status = status
        self.body = json.dumps(content).encode()
        self.retry_after = retry_after
        self.seconds = fault.seconds if fault else 0.0
        self.resets = bool(fault) and fault.action in {"reset", "accept_then_reset"}
        if fault and fault.action == "html":
            self.body = b"<html>Welcome to the airport</html>"
        if fault and fault.action == "huge":
            self.body = b" " * 1_000_000


def failure(fault: Fault) -> Answer:
    status, word, code = ERRORS[fault.action]
    detail = {"@type": FCM_ERROR, "errorCode": code}
    error = {"code": status, "status": word, "message": code.lower(), "details": [detail]}
    return Answer(status, {"error": error}, retry_after=fault.retry_after, fault=fault)


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


class Connection(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self, fcm: Fcm) -> None:
        self.fcm = fcm
        self.http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.streams: dict[int, tuple[dict, bytearray]] = {}
        self.unsent: dict[int, bytes] = {}
        fcm.connections += 1

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.http.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.http.receive_data(data)
        except ProtocolError:
            self.transport.abort()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                self.streams[event.stream_id] = (dict(event.headers), bytearray())
            elif isinstance(event, DataReceived):
                self.streams[event.stream_id][1].extend(event.data)
                size = event.flow_controlled_length
                self.http.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._answer(event.stream_id)
            elif isinstance(event, StreamReset):
                self.unsent.pop(event.stream_id, None)
            elif isinstance(event, WindowUpdated):
                for stream_id in list(self.unsent):
                    self._send_body(stream_id)
        self._flush()

    def _answer(self, stream_id: int) -> None:
        headers, body = self.streams.pop(stream_id)
        answer = self.fcm.answer(headers[":path"], headers, bytes(body))
        if answer.seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(answer.seconds, self._give, stream_id, answer)
        else:
            self._give(stream_id, answer)

    def _give(self, stream_id: int, answer: Answer) -> None:
        if answer.resets:
            self.transport.abort()
        if self.transport.is_closing():
            return
        headers = [(":status", str(answer.status)), ("content-type", "application/json")]
        if answer.retry_after:
            headers.append(("retry-after", answer.retry_after))
        try:
            self.http.send_headers(stream_id, headers)
        except ProtocolError:  # the client gave up on this stream
            return
        self.unsent[stream_id] = answer.body
        self._send_body(stream_id)
        self._flush()

    def _send_body(self, stream_id: int) -> None:
        """As much as the windows allow; the rest when they open."""
        left = self.unsent[stream_id]
        while left:
            room = min(
                self.http.local_flow_control_window(stream_id), self.http.max_outbound_frame_size
            )
            if room <= 0:
                self.unsent[stream_id] = left
                return
            self.http.send_data(stream_id, left[:room])
            left = left[room:]
        self.http.end_stream(stream_id)
        del self.unsent[stream_id]

    def _flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.http.data_to_send())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="for certificate and service account")
    parser.add_argument("--captured", type=Path)
    parser.add_argument("--faults", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fcm-"))
    folder.mkdir(parents=True, exist_ok=True)
    fcm = Fcm(
        options.ledger,
        folder=folder,
        port=options.port,
        captured=options.captured,
        faults=Faults(path=options.faults),
    )
    as_process(
        fcm.start,
        fcm.stop,
        facts=lambda: {
            "port": fcm.port,
            "url": fcm.url,
            "ca_file": str(fcm.ca_file),
            "credentials_file": str(fcm.credentials_file),
            "captured": str(fcm.captured.index) if fcm.captured else "",
        },
    )


if __name__ == "__main__":
    main()
