"""A local e-mail service in Postmark's shape, over TLS.

    python -m tests.providers.esp --ledger FILE [--folder FOLDER] [--port 0] [--faults FILE]

It verifies the key, the shape of each field, the sender and the one recipient. Faults (see
`faults.py`), matched by recipient: an error code of `ERRORS`, "html" (200 and not JSON), "huge",
"unavailable", "broken" (500), "chatty" (an error that repeats the address), "slow", "drip" (a
byte a tenth of a second), "reset" (before it is kept), "accept_then_reset".

`hooks` writes what the service would post to /hooks/postmark/.
"""

import argparse
import json
import re
import uuid
from pathlib import Path

from tests.providers.certificates import make_certificates
from tests.providers.faults import Fault, Faults
from tests.providers.http1 import Answer, Asked, HttpServer
from tests.providers.ledger import Ledger
from tests.providers.serving import Service, as_command

TOKEN = "server-token"
INACTIVE = (
    "You tried to send to a recipient that has been marked as inactive.\n"
    "Found inactive addresses: {}.\n"
    "Inactive recipients are ones that have generated a hard bounce or a spam complaint."
)
ERRORS = {
    "406": (422, INACTIVE),
    "300": (422, "Invalid 'To' address: '{}'."),
    "401": (422, "The 'From' address {} is not a Sender Signature on your account."),
    "10": (401, "Bad or missing server API token for {}."),
}
FROM = re.compile(r'(("(?:[^"\\]|\\.)*"|[^",;<>\r\n]+) <)?[^@\s<>]+@[a-z0-9.-]+>?')
FIELDS = {"From", "To", "Subject", "TextBody", "HtmlBody", "Headers", "Metadata"}


class EspProvider:
    def __init__(
        self, ledger: Path, *, folder: Path, port: int = 0, faults: Faults | None = None
    ) -> None:
        self.ledger = Ledger(ledger)
        self.faults = faults or Faults()
        self.ca_file, server_file = make_certificates(folder)
        self.server = HttpServer(self.answer, server_file=server_file, port=port)
        self.seen: list[dict] = []
        self.requests = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server.port}/"

    def running(self):
        return self.server.running()

    def answer(self, asked: Asked) -> Answer:
        self.requests += 1
        if asked.path != "/email" or asked.method != "POST":
            return Answer(404)
        if asked.headers.get("x-postmark-server-token") != TOKEN:
            return failure(10, 401, "Bad or missing server API token.")
        mail = json.loads(asked.body)
        if problem := find_problem(mail):
            return failure(300, 422, problem)
        return self._deliver(mail)

    def _deliver(self, mail: dict) -> Answer:
        fault = self.faults.take(mail["To"])
        action = fault.action if fault else ""
        if action in ERRORS:
            status, text = ERRORS[action]
            return failure(int(action), status, text.format(mail["To"]))
        if action == "chatty":
            return failure(mail["To"], 400, mail["To"])
        if action in {"unavailable", "broken"}:
            return Answer(503 if action == "unavailable" else 500, headers=wait(fault))
        if action == "reset":
            return Answer(resets=True)
        number = str(uuid.uuid4())
        self.ledger.write(
            key=mail["Metadata"]["key"], to=mail["To"], id=number, subject=mail["Subject"]
        )
        self.seen.append(mail | {"MessageID": number})
        said = {"To": mail["To"], "MessageID": number, "ErrorCode": 0, "Message": "OK"}
        instead = {"html": b"<html>hello</html>", "huge": b" " * 1_000_000}
        return Answer(
            200,
            instead.get(action, json.dumps(said).encode()),
            seconds=fault.seconds if fault else 0.0,
            drip=0.1 if action == "drip" else 0.0,
            resets=action == "accept_then_reset",
        )


def find_problem(mail: dict) -> str:
    """The obvious twin of the service's own checks."""
    if strange := mail.keys() - FIELDS:
        return f"Unknown fields {sorted(strange)}"
    if not re.fullmatch(r"[^@\s,;<>]+@[a-z0-9.-]+\.[a-z]+", mail.get("To", ""), re.IGNORECASE):
        return f"Invalid 'To' address: '{mail.get('To')}'."
    if not FROM.fullmatch(mail.get("From", "")):
        return f"Invalid 'From' address: '{mail.get('From')}'."
    lines = [mail["Subject"], *(v for one in mail["Headers"] for v in one.values())]
    if any(re.search(r"[\r\n]", line) for line in lines):
        return "A header has more than one line."
    return ""


def failure(code: object, status: int, text: str) -> Answer:
    return Answer(status, json.dumps({"ErrorCode": code, "Message": text}).encode())


def wait(fault: Fault | None) -> dict[str, str]:
    return {"Retry-After": fault.retry_after} if fault and fault.retry_after else {}


def hooks(mail: dict, *, at: str = "2026-11-02T12:00:00Z") -> dict[str, dict]:
    """By what happened: the body that the service posts about a mail it took."""
    about = {"MessageID": mail["MessageID"], "Metadata": mail["Metadata"], "ServerID": 1}
    bounce = about | {"Email": mail["To"], "BouncedAt": at, "ID": 42, "Details": mail["To"]}
    return {
        "delivered": about
        | {"RecordType": "Delivery", "Recipient": mail["To"], "DeliveredAt": at},
        "bounced": bounce | {"RecordType": "Bounce", "Type": "HardBounce"},
        "failed": bounce | {"RecordType": "Bounce", "Type": "SoftBounce"},
        "complained": bounce | {"RecordType": "SpamComplaint", "Type": "SpamComplaint"},
        "opted_out": about
        | {
            "RecordType": "SubscriptionChange", "Recipient": mail["To"], "ChangedAt": at,
            "SuppressSending": True, "SuppressionReason": "ManualSuppression",
        },
        "opened": about | {"RecordType": "Open", "Recipient": mail["To"], "ReceivedAt": at},
    }  # fmt: skip


def make(options: argparse.Namespace) -> Service:
    provider = EspProvider(
        options.ledger, folder=options.folder, port=options.port, faults=options.faults
    )
    return Service(
        provider.server,
        lambda: {
            "port": provider.server.port,
            "url": provider.url,
            "ca_file": str(provider.ca_file),
            "token": TOKEN,
        },
    )


if __name__ == "__main__":
    as_command(__doc__, make, folder="the certificate")
