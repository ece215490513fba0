"""Faults of a receiver of webhooks: who rather gets one twice than not at all."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import nemesis
from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import LEASE_SECONDS, TIMEOUT_SECONDS, Installation, Provider
from tests.faults.load import Load, load
from tests.faults.workers import a_worker

SLOW = {"action": "slow", "seconds": 0.05}


@fault(
    "F-14b",
    "a receiver of webhooks accepts, then resets the connection before it answers",
    passes="lost 0, unknown 0; what was reset is called once more with the same key, nothing else",
    rounds=1,
)
def accept_then_reset(house: Installation, rng: Random) -> Found:
    with receiver(house) as endpoint:
        with load(house, rng, events=0, channels=("webhook",), endpoint=endpoint) as under_way:
            reset = {"action": "accept_then_reset", "share": 0.1}
            house.providers["webhook"].play(reset, SLOW)
            # A third call would come five minutes after the second: none of those is reset.
            under_way.wait_for_calls(0.4)
            under_way.inject()
            house.providers["webhook"].play(SLOW)
            found = check(under_way)
        calls = calls_of(under_way)
    found.injections = sum(call["fault"] == "accept_then_reset" for call in calls)
    second = len(calls) - found.planned
    found.note("second_calls", second)
    found.expect(found.injections, "no connection was reset: nothing was tried")
    found.expect(
        second == found.injections, f"{second} second calls after {found.injections} resets"
    )
    found.expect(found.accepted == found.planned, f"not all are accepted: {found.states}")
    return found


@fault(
    "F-04b",
    "SIGSTOP a worker in the middle of its webhooks for lease + 30 s, then SIGCONT",
    passes="lost 0, unknown 0; each second call has the same key, and the late answer is fenced",
    rounds=1,
)
def freeze_a_worker(house: Installation, rng: Random) -> Found:
    with receiver(house) as endpoint, ExitStack() as more:
        with load(house, rng, events=0, channels=("webhook",), endpoint=endpoint) as under_way:
            house.providers["webhook"].play(SLOW)
            under_way.wait_for_calls(rng.uniform(0.2, 0.5))
            with nemesis.stopped(house.program("sender")):
                under_way.inject()
                more.enter_context(house.another("second-worker", a_worker("second")))
                time.sleep(LEASE_SECONDS + 30)
            time.sleep(TIMEOUT_SECONDS + 2)
            found = check(under_way)
        second = len(calls_of(under_way)) - found.planned
    [(fenced,)] = house.ask(
        "SELECT count(*) FROM delivery_sendattempt a JOIN delivery_message m"
        " ON m.id = a.message_id WHERE m.run_id = ANY(%s) AND a.outcome = 'fenced'",
        under_way.runs,
    )
    found.note("second_calls", second)
    found.note("fenced_answers", fenced)
    found.expect(second, "nothing was called twice: nothing was tried")
    found.expect(second <= fenced, f"{second} second calls, {fenced} fenced answers")
    found.expect(found.accepted == found.planned, f"not all are accepted: {found.states}")
    return found


@contextmanager
def receiver(house: Installation) -> Iterator[Any]:
    """An endpoint, and who stands behind it: drops a key that it had, and writes the others."""
    from delivery import endpoints
    from delivery.models import WebhookEndpoint
    from engage.lib import clock

    endpoint = WebhookEndpoint.objects.create(name=f"shop {time.time_ns()}", url="https://x/")
    secrets = endpoints.list_secrets(endpoint, now=clock.now())
    one = Provider("webhook", house.folder, more=[f"--secret={secret}" for secret in secrets])
    one.start()
    house.providers["webhook"] = one
    endpoint.url = f"{one.facts['url']}/hooks"
    endpoint.save()
    known = house.folder / "known.pem"
    files = (house.providers["fcm"].facts["ca_file"], one.facts["ca_file"])
    known.write_text("".join(Path(file).read_text() for file in files))
    try:
        house.start_programs(
            ENGAGE_CA_FILE=str(known), ENGAGE_PRIVATE_HOSTS=f"localhost:{one.facts['port']}"
        )
        yield endpoint
    finally:
        house.stop_programs()
        house.providers.pop("webhook").stop()


def calls_of(load: Load) -> list[dict[str, Any]]:
    calls = load.house.providers["webhook"].calls()
    return [call for call in calls if call["at"] >= load.started_at]
