"""A local SMS provider in Twilio's shape, over TLS.

    python -m tests.providers.sms --ledger FILE --folder FOLDER [--port 0]

It verifies basic auth, the sender, E.164, the length and the callback's address, and counts
segments by its own arithmetic. Faults (see `faults.py`), matched by number or text: an error
number of `ERRORS`, "html" (201 and not JSON), "huge", "unavailable", "chatty" (an error that
repeats the number), "slow", "drip" (a byte a tenth of a second), "reset" (before it is kept),
"accept_then_reset".
"""

import argparse
import base64
import json
import re
import secrets
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.providers.certificates import make_certificates
from tests.providers.faults import Fault, Faults
from tests.providers.http1 import Answer, Asked, HttpServer
from tests.providers.ledger import Ledger
from tests.providers.serving import Service, as_command

ACCOUNT, TOKEN, SENDER = "ACdemo", "sesame", "+15550001111"
ERRORS = {
    "21610": 400, "21211": 400, "21614": 400, "30007": 400, "20429": 429, "20003": 401,
    "21617": 400, "21606": 400,
}  # fmt: skip


class SmsProvider:
    def __init__(
        self, ledger: Path, *, folder: Path, port: int = 0, faults: Faults | None = None
    ) -> None:
        self.ledger = Ledger(ledger)
        self.faults = faults or Faults()
        self.ca_file, server_file = make_certificates(folder)
        self.server = HttpServer(self.answer, server_file=server_file, port=port)
        self.requests = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server.port}"

    def running(self):
        return self.server.running()

    def answer(self, asked: Asked) -> Answer:
        self.requests += 1
        if asked.path != f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return failure(20404, 404)
        pair = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {pair}":
            return failure(20003, 401)
        form = {name: one for name, [one] in parse_qs(asked.body.decode()).items()}
        return find_problem(form) or self._deliver(form)

    def _deliver(self, form: dict) -> Answer:
        fault = self.faults.take(f"{form['To']} {form['Body']}")
        if fault and fault.action in ERRORS:
            return failure(int(fault.action), ERRORS[fault.action], fault)
        if fault and fault.action == "chatty":
            said = {"code": form["To"], "message": form["To"], "status": 400}
            return Answer(400, json.dumps(said).encode())
        if fault and fault.action == "unavailable":
            return Answer(503, headers=wait(fault))
        if fault and fault.action == "reset":
            return Answer(resets=True)
        sid = f"SM{secrets.token_hex(16)}"
        callback = form.get("StatusCallback", "")
        self.ledger.write(
            key=callback.rpartition("/")[2],
            to=form["To"],
            id=sid,
            text=form["Body"],
            segments=segments(form["Body"]),
        )
        body = {"sid": sid, "status": "queued", "num_segments": str(segments(form["Body"]))}
        instead = {"html": b"<html>hello</html>", "huge": b" " * 1_000_000}
        return Answer(
            201,
            instead.get(fault.action if fault else "", json.dumps(body).encode()),
            seconds=fault.seconds if fault else 0.0,
            drip=0.1 if fault and fault.action == "drip" else 0.0,
            resets=bool(fault) and fault.action == "accept_then_reset",
        )


def find_problem(form: dict) -> Answer | None:
    if not re.fullmatch(r"\+[1-9]\d{6,14}", form.get("To", "")):
        return failure(21211, 400)
    if form.get("From") != SENDER:
        return failure(21606, 400)
    if not form.get("Body"):
        return failure(21602, 400)
    if len(form["Body"].encode("utf-16-le")) // 2 > 1_600:
        return failure(21617, 400)
    callback = form.get("StatusCallback")
    if callback and urlsplit(callback).scheme != "https":
        return failure(21609, 400)
    return None


def failure(code: int, status: int, fault: Fault | None = None) -> Answer:
    body = {"code": code, "message": f"error {code}", "status": status}
    seconds = fault.seconds if fault else 0.0
    return Answer(status, json.dumps(body).encode(), headers=wait(fault), seconds=seconds)


def wait(fault: Fault | None) -> dict[str, str]:
    return {"Retry-After": fault.retry_after} if fault and fault.retry_after else {}


def segments(text: str) -> int:
    """The obvious twin: cut septets or UTF-16 units, one less where a pair would break."""
    extended = "\f^{}\\[~]|€"
    basic = (
        "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
    )
    if all(letter in basic + extended for letter in text):
        whole = "".join("\x1b" + one if one in extended else one for one in text)
        single, part, first = 160, 153, "\x1b"
    else:
        raw = text.encode("utf-16-be")
        whole = [raw[place : place + 2] for place in range(0, len(raw), 2)]
        single, part, first = 70, 67, None
    if len(whole) <= single:
        return 1
    count, place = 0, 0
    while place < len(whole):
        end = min(place + part, len(whole))
        last = whole[end - 1]
        if end < len(whole) and (last == first or (first is None and 0xD8 <= last[0] <= 0xDB)):
            end -= 1
        count, place = count + 1, end
    return count


def make(options: argparse.Namespace) -> Service:
    provider = SmsProvider(
        options.ledger, folder=options.folder, port=options.port, faults=options.faults
    )
    return Service(
        provider.server,
        lambda: {
            "port": provider.server.port,
            "url": provider.url,
            "ca_file": str(provider.ca_file),
            "account": ACCOUNT,
            "token": TOKEN,
            "sender": SENDER,
        },
    )


if __name__ == "__main__":
    as_command(__doc__, make, folder="the certificate")
