"""A local push service for browsers, and the browsers: HTTP/2 over TLS.

    python -m tests.providers.web_push --port 0 --ledger FILE --folder FOLDER [--captured FOLDER]

GET /subscribe/NAME gives a subscription. The service verifies VAPID (signature, audience, end,
subject, and that a subscription keeps its key), the headers and the size; then it plays the
browser, which decrypts, and keeps the text. Faults (see `faults.py`), matched by path: "404",
"410", "413", "429" and every other status by its number, "expired" (says 201 to a subscription
that is no more, as Safari's does), "chatty" (repeats the path), and those of `http2.py`.
"""

import argparse
import base64
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.providers import jwt
from tests.providers.captured import Captured
from tests.providers.faults import Faults
from tests.providers.http2 import UNHANDLED, Answer, Provider
from tests.providers.serving import Service, as_command

LIMIT = 4_096
LONGEST_TOKEN_SECONDS = 86_400
LONGEST_TTL_SECONDS = 2_592_000
VAPID = re.compile(r"vapid t=([A-Za-z0-9_.-]+), ?k=([A-Za-z0-9_-]+)")
TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
URGENCIES = {"very-low", "low", "normal", "high"}


@dataclass
class Browser:
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    application_key: str = ""  # the first one seen, for good

    @property
    def point(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def decrypt(self, body: bytes) -> bytes:
        """By RFC 8188 and 8291. Raises ValueError."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        point, record = body[21 : 21 + length], body[21 + length :]
        if len(record) > size:
            raise ValueError("more than one record")
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        shared = self.key.exchange(ec.ECDH(), sender)
        info = b"WebPush: info\0" + self.point + point
        secret = HKDF(hashes.SHA256(), 32, self.auth, info).derive(shared)
        cipher = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
        try:
            padded = AESGCM(cipher).decrypt(nonce, record, None).rstrip(b"\0")
        except InvalidTag as exc:
            raise ValueError("cannot be decrypted") from exc
        if not padded.endswith(b"\x02"):
            raise ValueError("not the last record")
        return padded[:-1]


class WebPush(Provider):
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
        self.captured = (
            Captured(captured, title="Captured pushes to browsers") if captured else None
        )
        self.browsers: dict[str, Browser] = {}
        self.tokens: set[str] = set()
        self.headers: dict[str, str] = {}  # of the last push
        self.problems: list[str] = []

    def subscribe(self, name: str) -> str:
        """The subscription of this person's browser, as JSON; made the first time."""
        browser = self.browsers.setdefault(f"/push/{name}", Browser())
        return json.dumps(
            {
                "endpoint": f"{self.url}/push/{name}",
                "expirationTime": None,
                "keys": {"p256dh": to_base64(browser.point), "auth": to_base64(browser.auth)},
            }
        )

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path.startswith("/subscribe/"):
            return Answer(200, json.loads(self.subscribe(path.removeprefix("/subscribe/"))))
        self.requests += 1
        browser = self.browsers.get(path)
        if browser is None:
            return Answer(404)
        status, problem = self._check_vapid(browser, headers.get("authorization", ""))
        if not problem:
            status, problem = check_headers(headers, body)
        if problem:
            self.problems.append(problem)
            return Answer(status, {"error": problem})
        return self._deliver(browser, path, headers, body)

    def _check_vapid(self, browser: Browser, authorization: str) -> tuple[int, str]:
        found = VAPID.fullmatch(authorization)
        if found is None:
            return 401, "no vapid"
        token, key = found.groups()
        try:
            point = jwt.unpadded(key)
            public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            _, claims = jwt.decode(token, public_key)
        except ValueError as exc:
            return 403, f"vapid: {exc}"
        if claims.get("aud") != self.url:
            return 403, "vapid: aud is not our origin"
        if not 0 < claims.get("exp", 0) - time.time() <= LONGEST_TOKEN_SECONDS:
            return 403, "vapid: exp is over, or more than a day away"
        if not str(claims.get("sub", "")).startswith(("mailto:", "https://")):
            return 403, "vapid: sub says nobody"
        browser.application_key = browser.application_key or key
        if browser.application_key != key:
            return 403, "vapid: the subscription was made for another key"
        self.tokens.add(token)
        return 0, ""

    def _deliver(
        self, browser: Browser, path: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        fault = self.faults.take(path)
        if fault and (fault.action in UNHANDLED or fault.action.isdecimal()):
            status = int(fault.action) if fault.action.isdecimal() else 0
            wish = {"retry-after": fault.retry_after} if fault.retry_after else {}
            return Answer(status, headers=wish, fault=fault)
        if fault and fault.action == "chatty":
            return Answer(410, {"error": path}, {"location": path})
        number = f"{self.url}/messages/{secrets.token_hex(8)}"
        if not (fault and fault.action == "expired"):
            try:
                text = browser.decrypt(body)
            except ValueError as exc:
                self.problems.append(str(exc))
                return Answer(400, {"error": str(exc)})
            self._show(path, text, number)
        self.headers = headers
        status = 200 if fault and fault.action == "html" else 201
        return Answer(status, headers={"location": number}, fault=fault)

    def _show(self, path: str, text: bytes, number: str) -> None:
        message = json.loads(text)
        key = message.get("data", {}).get("key", "")
        self.ledger.write(key=key, to=path, id=number, text=text.decode())
        if self.captured:
            self.captured.add_push({"token": path, "notification": message})


def check_headers(headers: dict[str, str], body: bytes) -> tuple[int, str]:
    if headers.get(":method") != "POST":
        return 405, "only POST"
    ttl = headers.get("ttl", "")
    if not ttl.isdecimal() or int(ttl) > LONGEST_TTL_SECONDS:
        return 400, "TTL is missing or wrong"
    if headers.get("urgency", "normal") not in URGENCIES:
        return 400, "Urgency is wrong"
    if "topic" in headers and not TOPIC.fullmatch(headers["topic"]):
        return 400, "Topic is wrong"
    if headers.get("content-encoding") != "aes128gcm":
        return 400, "Content-Encoding is wrong"
    if len(body) > LIMIT:
        return 413, "too large"
    return 0, ""


def to_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make(options: argparse.Namespace) -> Service:
    service = WebPush(
        options.ledger,
        folder=options.folder,
        port=options.port,
        captured=options.captured,
        faults=options.faults,
    )
    return Service(
        service,
        lambda: {
            "port": service.port,
            "url": service.url,
            "ca_file": str(service.ca_file),
            "subscribe_url": f"{service.url}/subscribe/",
            "captured": str(service.captured.index) if service.captured else "",
        },
    )


if __name__ == "__main__":
    as_command(__doc__, make, folder="the certificate", captured=True)
