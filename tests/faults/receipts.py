"""Faults of those who tell what became of messages: a relay that speaks by the signed hook."""

import base64
import http.client
import json
import time
import zlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from standardwebhooks.webhooks import Webhook

from tests.faults.checker import Found, check
from tests.faults.errors import Wrong
from tests.faults.faults import fault
from tests.faults.harness import HOOK_SECRET, PEOPLE, Installation, Lines, wait_until
from tests.faults.load import Load, load, mail_of, slow_providers, token_of

COPIES, LINES, FORGED = 3, 20, 0.1  # of each receipt; in one request; share of the requests
OTHER_SECRET = "whsec_" + base64.b64encode(b"a secret that somebody guessed at").decode()
FORGERIES = ("unsigned", "other secret", "old", "changed on its way")
# So few that no rail stops the run: those are tested elsewhere.
ROLES = {
    "email": {"bounced": 4, "complained": 2, "opted_out": 4, "failed": 4},
    "push": {"gone": 4, "opted_out": 4, "failed": 4},
}
FOLLOWED = {"bounced", "complained", "opted_out"}  # of mail: the address is suppressed
Line = dict[str, str]


def tell(house: Installation, lines: list[Line], *, forged: str = "") -> tuple[int, Any]:
    """Post receipts as a relay does. Raises OSError or HTTPException when nobody answers."""
    assert house.up is not None
    at = time.time() - (600 if forged == "old" else 0)
    body = json.dumps(lines)
    secret = OTHER_SECRET if forged == "other secret" else HOOK_SECRET
    headers = {
        "Content-Type": "application/json",
        "webhook-id": f"relay-{at}",
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Webhook(secret).sign(
            f"relay-{at}", datetime.fromtimestamp(int(at), UTC), body
        ),
    }
    if forged == "unsigned":
        del headers["webhook-signature"]
    if forged == "changed on its way":
        body = body.replace('"kind"', ' "kind"')
    address = urlsplit(house.up.url).netloc
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("POST", "/hooks/engage/", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@dataclass
class Relay(Thread):
    """Tells what became of each message three times, in no order, and lies in between."""

    load: Load
    rng: Random
    roles: dict[str, str]  # address → what else is said of it; of all others only "delivered"
    told: set[tuple[str, str]] = field(default_factory=set)  # (message id, kind)
    lied: set[tuple[str, str]] = field(default_factory=set)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)  # ("" or the forgery, …)
    backwards: int = 0  # messages that were accepted once and are something else now
    enough: Event = field(default_factory=Event)  # no more messages; what is left is told

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        providers = self.load.house.providers.values()
        self.ledgers = [Lines(provider.ledger) for provider in providers]
        self.pool: list[Line] = []
        self.accepted: set[str] = set()
        self.problem: Exception | None = None

    __hash__ = object.__hash__

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                self.look()
                self.post()
            self.look()
            while self.pool:
                self.post()
            self.look()
        except Exception as exc:  # said by whoever waits for this thread
            self.problem = exc

    def look(self) -> None:
        """What the providers took since the last look. Of a push only what has its answer, too:
        until then no row has the name by which receipts of pushes call it."""
        rows = self.load.house.ask(
            "SELECT key::text, id::text, channel, state FROM delivery_message"
            " WHERE run_id = ANY(%s)",
            self.load.runs,
        )
        messages = {key: (name, channel, state) for key, name, channel, state in rows}
        now_accepted = {name for name, _, state in messages.values() if state == "accepted"}
        self.backwards += len(self.accepted - now_accepted)
        self.accepted = now_accepted
        for ledger in self.ledgers:
            for line in ledger.read():
                name, channel, state = messages.get(line["key"], ("", "", ""))
                if (name, "delivered") in self.told or not name:
                    continue
                if self.is_silent(line["to"], state):
                    continue
                if channel == "email" or state == "accepted":
                    self.add(line["key"], name, channel, line["to"])

    def is_silent(self, to: str, state: str) -> bool:
        """Of two messages in three nobody says anything, unless it matters."""
        return to not in self.roles and state != "unknown" and zlib.crc32(to.encode()) % 3 > 0

    def add(self, key: str, name: str, channel: str, to: str) -> None:
        kinds = ["delivered", *filter(None, [self.roles.get(to)])]
        for kind in kinds:
            self.told.add((name, kind))
            called = key if channel == "email" else name
            line = {"kind": kind, "channel": channel, "message_id": called, "id": kind}
            self.pool += [line] * COPIES

    def post(self) -> None:
        self.rng.shuffle(self.pool)
        if self.pool and self.rng.random() < FORGED:
            self.lie()
        lines, self.pool = self.pool[:LINES], self.pool[LINES:]
        if not lines:
            self.enough.wait(0.02)
            return
        status, said = tell(self.load.house, lines)
        self.answers["", status] += 1
        if status != 200 or said["unknown"]:
            raise AssertionError(f"receipts were answered with {status}: {said}")

    def lie(self) -> None:
        """Of a message of which only "delivered" is true."""
        good = [line for line in self.pool if line["kind"] == "delivered"][:LINES]
        bad = {name for name, kind in self.told if kind != "delivered"}
        lines = [
            line | {"kind": self.rng.choice(["bounced", "complained", "opted_out", "gone"])}
            for line in good
            if line["message_id"] not in bad
        ]
        forgery = self.rng.choice(FORGERIES)
        status, _ = tell(self.load.house, lines, forged=forgery)
        self.answers[forgery, status] += 1


@fault(
    "F-30",
    "receipts three times over, shuffled, before the answer they follow; a tenth of them forged",
    passes="states only move on; each counts once; suppressed are the right ones; forged taken 0",
    rounds=5,
)
def receipts_in_disorder(house: Installation, rng: Random) -> Found:
    roles = choose_roles(rng)
    with load(house, rng, events=0) as under_way:
        slow_providers(house, mail=0.01)
        house.providers["smtp"].play(
            {"action": "accept_then_reset", "share": 0.02}, {"action": "slow", "seconds": 0.01}
        )
        relay = Relay(under_way, rng, roles)
        relay.start()
        try:
            wait_until(under_way.is_over, seconds=90, what="all runs are over")
        finally:
            relay.enough.set()
            relay.join(300)
    if relay.is_alive():
        raise Wrong(f"{len(relay.pool)} receipts were not told within 300 s of the end")
    if relay.problem is not None:
        raise relay.problem
    under_way.unknown_bound = 0  # whoever speaks of a message took it
    found = check(under_way)
    found.injections = sum(relay.answers.values())
    compare(under_way, relay, found)
    forget_receipts(rng)
    return found


def choose_roles(rng: Random) -> dict[str, str]:
    roles = {}
    for channel, name_of in (("email", mail_of), ("push", token_of)):
        people = iter(rng.sample(range(100, PEOPLE), sum(ROLES[channel].values())))
        for kind, count in ROLES[channel].items():
            roles |= {name_of(next(people)): kind for _ in range(count)}
    return roles


def compare(load: Load, relay: Relay, found: Found) -> None:
    """Rows with what was said by whoever may say it."""
    from delivery import suppression

    house = load.house
    rows = house.ask(
        "SELECT message_id::text, kind FROM delivery_receipt WHERE run_id = ANY(%s)", load.runs
    )
    kept = Counter(rows)
    twice = sum(count - 1 for count in kept.values())
    found.dup += twice
    found.lost += len(relay.told - set(kept))
    found.expect(not twice, f"{twice} receipts are counted twice")
    found.expect(not relay.told - set(kept), f"{len(relay.told - set(kept))} receipts are lost")
    made_up = len(set(kept) - relay.told)
    forged = {answer: n for answer, n in relay.answers.items() if answer[0]}
    taken = sum(n for (_, status), n in forged.items() if status != 403)
    found.note("receipts", len(kept))
    found.note("forged_requests", sum(forged.values()))
    found.expect(forged, "nothing was forged: nothing was tried")
    found.expect(not taken and not made_up, f"{taken} forgeries taken, {made_up} receipts of them")
    found.expect(not relay.backwards, f"{relay.backwards} messages moved back")
    [(early,)] = house.ask(
        "SELECT count(*) FROM delivery_receipt r JOIN delivery_message m"
        " ON m.profile_id = r.profile_id AND m.id = r.message_id"
        " WHERE r.run_id = ANY(%s) AND r.ts < m.finished_at",
        load.runs,
    )
    found.note("before_their_answer", early)
    found.expect(early, "no receipt came before the answer it follows: nothing was tried")
    wanted = {
        str(suppression.digest(to, channel="email")): "unsubscribed"
        if kind == "opted_out"
        else kind
        for to, kind in relay.roles.items()
        if "@" in to and kind in FOLLOWED
    }
    suppressed = dict(house.ask("SELECT digest::text, reason FROM delivery_suppression"))
    found.expect(suppressed == wanted, f"{len(suppressed)} suppressed, {len(wanted)} should be")
    gone = {token for (token,) in house.ask(
        "SELECT token FROM profiles_device WHERE gone_at IS NOT NULL"
    )}  # fmt: skip
    found.expect(
        gone == {to for to, kind in relay.roles.items() if kind == "gone"}, f"gone are {gone}"
    )
    left = house.ask(
        "SELECT channel, count(*) FROM profiles_consent WHERE status = 'opted_out'"
        " GROUP BY channel"
    )
    found.expect(dict(left) == {"email": 4, "push": 4}, f"opted out are {left}")


def forget_receipts(rng: Random) -> None:
    """Everybody is there for the next round."""
    from delivery.models import Suppression
    from engage.profiles import consents
    from engage.profiles.models import Consent, Device

    for one in Consent.objects.filter(status="opted_out"):
        consents.state(
            one.profile_id, channel=one.channel, topic=one.topic, status="opted_in",
            stated_ms=time.time_ns() // 1_000_000, message_id=f"back-{rng.getrandbits(64):x}",
            source="the next round",
        )  # fmt: skip
    Suppression.objects.all().delete()
    Device.objects.update(gone_at=None)


def receipts_die(house: Installation, rng: Random) -> Found:
    """C13: the relay gets no answer, and tells all of it again."""
    with load(house, rng, channels=("email",), events=0) as under_way:
        pass
    found = check(under_way)
    rows = house.ask(
        "SELECT key::text FROM delivery_message WHERE run_id = ANY(%s)", under_way.runs
    )
    keys = [key for (key,) in rng.sample(rows, 30)]
    lines = [{"kind": "delivered", "message_id": key, "id": "d"} for key in keys]
    lines += [{"kind": "bounced", "message_id": key, "id": "b"} for key in keys[:3]]
    house.arm("C13")
    answers: list[Any] = []

    def is_answered() -> bool:
        try:
            answers.append(tell(house, lines))
        except (OSError, http.client.HTTPException) as exc:
            answers.append(type(exc).__name__)
            return False
        return answers[-1][0] == 200

    wait_until(is_answered, seconds=60, what="the receipts are answered")
    found.injections = 1
    found.expect(not house.is_armed("C13"), "nobody died: nothing was tried")
    repeated = (200, {"new": 0, "known": len(lines), "unknown": 0})
    found.expect(answers[-1] == repeated, f"the second time was answered with {answers[-1]}")
    [(count,)] = house.ask(
        "SELECT count(*) FROM delivery_receipt WHERE run_id = ANY(%s)", under_way.runs
    )
    found.dup += max(0, count - len(lines))
    found.lost += max(0, len(lines) - count)
    found.expect(count == len(lines), f"{count} receipts are kept of {len(lines)}")
    forget_receipts(rng)
    return found
