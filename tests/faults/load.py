"""Small L: an e-mail and a push campaign to 1,000 people while 2,500 events arrive."""

import base64
import http.client
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from tests.faults.harness import PEOPLE, Installation, wait_until

EVENTS, BATCH, SENDERS = 2_500, 25, 2
GOOD = {200}
KNOWN = {429, 503}  # "not now, send it again"
numbers = itertools.count(1)


@dataclass(frozen=True)
class Shop:
    """Doors of the installation, as an app and a server use them."""

    address: str
    key: str

    def post(self, path: str, content: object, *, timeout: float = 10.0) -> tuple[int, Any]:
        return self.call("POST", path, json.dumps(content), timeout=timeout)

    def call(
        self, method: str, path: str, body: str | None = None, *, timeout: float = 10.0
    ) -> tuple[int, Any]:
        """Status and answer. Raises OSError or HTTPException when there is none."""
        token = base64.b64encode(f"{self.key}:".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection(self.address, timeout=timeout)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            raw = answer.read()
        return answer.status, json.loads(raw) if raw[:1] == b"{" else raw


@dataclass
class EventSender(Thread):
    """Sends batches one after the other, each until it is acknowledged."""

    shop: Shop
    name_of: str  # of the sender; begins every message id
    batches: int
    pause: float  # seconds between two batches
    seed: int
    acked: list[str] = field(default_factory=list)
    answers: Counter[object] = field(default_factory=Counter)
    longest_gap: float = 0.0  # seconds from one acknowledgement to the next
    enough: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = object.__hash__

    def run(self) -> None:
        rng, last = random.Random(self.seed), time.monotonic()
        for number in range(self.batches):
            ids = [f"{self.name_of}-{number}-{place}" for place in range(BATCH)]
            batch = [self._event(message_id, rng) for message_id in ids]
            while not self.enough.is_set() and not self._is_taken(batch):
                self.enough.wait(0.05)
            if self.enough.is_set():
                return
            self.acked += ids
            self.longest_gap = max(self.longest_gap, time.monotonic() - last)
            last = time.monotonic()
            self.enough.wait(self.pause)

    def _event(self, message_id: str, rng: random.Random) -> dict[str, object]:
        return {
            "type": "track",
            "userId": user_of(rng.randrange(PEOPLE)),
            "event": "Product Viewed",
            "messageId": message_id,
            "properties": {"product_id": f"p{rng.randrange(50)}"},
        }

    def _is_taken(self, batch: list[dict[str, object]]) -> bool:
        try:
            status, said = self.shop.post("/v1/batch", {"batch": batch})
        except (OSError, http.client.HTTPException) as exc:
            self.answers[type(exc).__name__] += 1
            return False
        self.answers[status] += 1
        return status in GOOD and said["accepted"] == len(batch)


def user_of(person: int) -> str:
    return f"u{person}"


def mail_of(person: int) -> str:
    return f"u{person}@shop.example"


def token_of(person: int) -> str:
    return f"token-{person}-"


def fill(house: Installation) -> None:
    """Keys and people, the people by the door that apps use."""
    from engage.collector import access

    house.write_key = access.create_key("app", kind="write")
    house.server_key = access.create_key("server", kind="server")
    shop = shop_of(house)
    for first in range(0, PEOPLE, 250):
        batch = [
            {
                "type": "identify",
                "userId": user_of(person),
                "messageId": f"identify-{person}",
                "traits": {"email": mail_of(person), "subscriptions": {"email": True}},
                "context": {
                    "device": {"id": f"d{person}", "type": "android", "token": token_of(person)}
                },
            }
            for person in range(first, first + 250)
        ]
        status, said = shop.post("/v1/batch", {"batch": batch})
        assert (status, said["accepted"]) == (200, 250), (status, said)
    wait_until(
        lambda: house.ask("SELECT count(*) FROM profiles_device") == [(PEOPLE,)],
        seconds=60,
        what="the people are stored",
    )


def shop_of(house: Installation, *, server: bool = False) -> Shop:
    assert house.up is not None
    return Shop(urlsplit(house.up.url).netloc, house.server_key if server else house.write_key)


@dataclass
class Load:
    """One campaign per channel with its run, and who sends events meanwhile."""

    house: Installation
    rng: random.Random
    runs: list[int]
    campaigns: list[Any]
    senders: list[EventSender]
    calls_before: int  # of all providers
    started_at: float = field(default_factory=time.time)
    injected: list[float] = field(default_factory=list)  # monotonic
    unknown_bound: int = 0
    withdrawn: dict[str, float] = field(default_factory=dict)  # address → time of the commit

    def inject(self, *, unknown: int = 0) -> None:
        """Now something was broken; at most so many outcomes may be unknown because of it."""
        self.injected.append(time.monotonic())
        self.unknown_bound += unknown

    def calls(self) -> int:
        return sum(len(provider.calls()) for provider in self.house.providers.values())

    def wait_for_calls(self, share: float, *, seconds: float = 90.0) -> None:
        """Until that share of the messages was handed to a provider, or all is over."""
        first = self.calls_before + share * PEOPLE * len(self.runs)
        wait_until(
            lambda: self.calls() >= first or self.is_over(),
            seconds=seconds,
            what=f"{share:.0%} of the messages are under way",
        )

    def is_over(self) -> bool:
        """Whether nobody works on the runs any more, and no call of theirs is under way."""
        [(still,)] = self.house.ask(
            "SELECT (SELECT count(*) FROM campaigns_run WHERE id = ANY(%s)"
            " AND state IN ('planning', 'sending')) + (SELECT count(*) FROM delivery_message"
            " WHERE run_id = ANY(%s) AND state IN ('leased', 'attempting'))",
            self.runs,
            self.runs,
        )
        return still == 0


def resume_stopped(load: Load) -> int:
    """What a human does with the runs that stopped themselves, until none does; how many did."""
    from campaigns import lifecycle
    from campaigns.models import Run
    from engage.lib import clock

    stopped = 0
    while True:
        wait_until(load.is_over, seconds=150, what="all runs are over, or stopped themselves")
        waiting = Run.objects.filter(pk__in=load.runs, state="paused").select_related("campaign")
        for run in waiting:
            lifecycle.resume(run.campaign, now=clock.now())
            stopped += 1
        if not waiting:
            return stopped


def slow_providers(house: Installation, *, mail: float = 0.006, push: float = 0.25) -> None:
    """So slow that a campaign takes long enough to be hit in the middle."""
    house.providers["smtp"].play({"action": "slow", "seconds": mail})
    house.providers["fcm"].play({"action": "slow", "seconds": push})


def make_campaign(channel: str, **fields: object) -> Any:
    from tests.factories import make_campaign as make
    from tests.factories import make_template

    name = f"{channel} {next(numbers)} {time.time_ns()}"
    content = {"body": '{"person": {{ person.id | json }}}'} if channel == "webhook" else {}
    template = make_template(channel=channel, name=name, **content)
    return make(channel=channel, template=template, name=name, **fields)


@contextmanager
def load(
    house: Installation,
    rng: random.Random,
    *,
    channels: tuple[str, ...] = ("email", "push"),
    events: int = EVENTS,
    pause: float = 0.3,
    before: Callable[[], None] = lambda: None,
    **fields: object,
) -> Iterator[Load]:
    """Begin; the block breaks things. `before`: what is done a moment before the launch.

    `fields`: of the campaigns.
    """
    from campaigns import lifecycle
    from engage.lib import clock

    slow_providers(house)
    word = f"{rng.getrandbits(48):x}"
    senders = [
        EventSender(shop_of(house), f"{word}-{number}", events // BATCH // SENDERS, pause,
                    rng.getrandbits(32))
        for number in range(SENDERS if events else 0)
    ]  # fmt: skip
    calls = sum(len(provider.calls()) for provider in house.providers.values())
    campaigns = [make_campaign(channel, **fields) for channel in channels]
    before()
    runs = [lifecycle.launch(campaign, now=clock.now()).pk for campaign in campaigns]
    under_way = Load(house, rng, runs, campaigns, senders, calls_before=calls)
    for sender in senders:
        sender.start()
    try:
        yield under_way
        for sender in senders:
            sender.join(150)
    finally:
        for sender in senders:
            sender.enough.set()
            sender.join(15)
