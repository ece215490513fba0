"""A receiver of webhooks that believes only the official library.

    python -m tests.providers.webhook --ledger FILE --folder FOLDER --secret whsec_… [--port 0]

It verifies signature and time of every request by `standardwebhooks` and drops ids it had. Faults
(see `faults.py`), matched by the path: a number (that status), "redirect" (to the metadata of a
cloud), "drip" (a byte a tenth of a second), "slow" (see `seconds`), "huge", "chatty" (an error
that repeats the path), "reset" (before it is kept), "accept_then_reset".
"""

import argparse
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

from tests.providers.certificates import make_certificates
from tests.providers.faults import Fault, Faults
from tests.providers.http1 import Answer, Asked, HttpServer
from tests.providers.ledger import Ledger
from tests.providers.serving import Service, as_command

METADATA = "http://169.254.169.254/latest/meta-data/"


class Receiver:
    def __init__(
        self,
        ledger: Path,
        *,
        folder: Path,
        secrets: list[str],
        port: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self.ledger = Ledger(ledger)
        self.secrets = secrets  # any of them will do, as for a receiver during a rotation
        self.faults = faults or Faults()
        self.ca_file, server_file = make_certificates(folder)
        self.server = HttpServer(self.answer, server_file=server_file, port=port)
        self.seen: list[Asked] = []
        self.known: set[str] = set()
        self.forged = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def port(self) -> int:
        return self.server.port

    def running(self):
        return self.server.running()

    def answer(self, asked: Asked) -> Answer:
        self.seen.append(asked)
        if not any(self._verifies(asked, secret) for secret in self.secrets):
            self.forged += 1
            return Answer(401)
        fault = self.faults.take(asked.path)
        if fault and (refusal := refuse(fault)):
            return refusal
        key = asked.headers["webhook-id"]
        if key not in self.known:
            self.known.add(key)
            self.ledger.write(key=key, to=asked.path, body=asked.body.decode())
        return accept(fault)

    def _verifies(self, asked: Asked, secret: str) -> bool:
        try:
            Webhook(secret).verify(asked.body, asked.headers)
        except WebhookVerificationError:
            return False
        return True


def refuse(fault: Fault) -> Answer | None:
    if fault.action == "redirect":
        return Answer(302, headers={"Location": METADATA})
    if fault.action == "reset":
        return Answer(resets=True)
    if fault.action == "chatty":
        return Answer(400, body=fault.match.encode())
    if fault.action.isdecimal():
        wait = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        return Answer(int(fault.action), headers=wait, seconds=fault.seconds)
    return None


def accept(fault: Fault | None) -> Answer:
    action = fault.action if fault else ""
    return Answer(
        204 if action != "huge" else 200,
        body=b"0" * 1_000_000 if action == "huge" else b"",
        seconds=fault.seconds if fault else 0.0,
        drip=0.1 if action == "drip" else 0.0,
        resets=action == "accept_then_reset",
    )


def make(options: argparse.Namespace) -> Service:
    receiver = Receiver(
        options.ledger,
        folder=options.folder,
        secrets=options.secret,
        port=options.port,
        faults=options.faults,
    )
    return Service(
        receiver.server,
        lambda: {
            "port": receiver.port,
            "url": receiver.url,
            "ca_file": str(receiver.ca_file),
        },
    )


if __name__ == "__main__":
    as_command(__doc__, make, folder="the certificate", several="secret")
