"""Events that send messages, while whoever stands between the two is killed."""

import time
from random import Random
from typing import Any

from tests.faults import nemesis
from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import ALL_IN_FLIGHT, Installation, wait_until
from tests.faults.load import Load, load, make_campaign

BETWEEN = ("ingest", "worker", "sender", "beat")


@fault(
    "F-31",
    "kill -9 ingest, the planning worker, senders and scheduler while each event sends a push",
    passes="each acknowledged event has one message; lost 0, dup 0, unknown ≤ marked at a kill",
    rounds=3,
)
def kill_between_event_and_message(house: Installation, rng: Random) -> Found:
    campaigns: list[Any] = []
    with load(
        house, rng, channels=(), events=1_500, before=lambda: campaigns.append(launched())
    ) as under_way:
        under_way.runs.append(campaigns[0].runs.get().pk)
        for _ in range(4):
            time.sleep(rng.uniform(0.5, 2.5))
            name = rng.choice(BETWEEN)
            nemesis.kill(house.program(name))
            under_way.inject(unknown=ALL_IN_FLIGHT if name == "sender" else 0)
    asked = sum(len(sender.acked) for sender in under_way.senders)
    wait_until(lambda: planned(under_way) >= asked, seconds=90, what="each event has a message")
    end(campaigns[0])
    found = check(under_way)
    found.lost += max(0, asked - found.planned)
    found.dup += max(0, found.planned - asked)
    found.expect(found.planned == asked, f"{found.planned} messages of {asked} events")
    return found


def launched() -> Any:
    from datetime import timedelta

    from campaigns import lifecycle
    from engage.lib import clock

    campaign = make_campaign(
        "push", schedule="event", on_event="Product Viewed", again_after=timedelta(0)
    )
    lifecycle.launch(campaign, now=clock.now())
    return campaign


def planned(under_way: Load) -> int:
    [(count,)] = under_way.house.ask(
        "SELECT count(*) FROM campaigns_occasion WHERE campaign_id IN ("
        "SELECT campaign_id FROM campaigns_run WHERE id = ANY(%s))",
        under_way.runs,
    )
    return int(count)


def end(campaign: Any) -> None:
    """A while ago: what it has is still sent, then its run is over."""
    from campaigns.models import Campaign
    from campaigns.runs import AFTER_THE_END
    from engage.lib import clock

    Campaign.objects.filter(pk=campaign.pk).update(ends_at=clock.now() - AFTER_THE_END)
