"""Faults of those who deliver."""

import itertools
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from statistics import median

from tests.faults import nemesis
from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import (
    PEOPLE,
    SENDING_BATCHES,
    TIMEOUT_SECONDS,
    Installation,
    wait_until,
)
from tests.faults.load import Load, load, mail_of, resume_stopped, slow_providers, token_of

PROVIDER = {"email": "smtp", "push": "fcm"}
SLOW = {"email": {"action": "slow", "seconds": 0.006}, "push": {"action": "slow", "seconds": 0.25}}
turns = {number: itertools.count() for number in ("F-13", "F-16")}


def calls_with(load: Load, *faults: str) -> list[dict]:
    return [
        call
        for provider in load.house.providers.values()
        for call in provider.calls()
        if call["at"] >= load.started_at and call["fault"] in faults
    ]


PAIRS = 5  # of an undisturbed and a disturbed run, in turn: a busy machine disturbs both
NEVER, DRIP = {"action": "hangs", "seconds": 3_600.0}, {"action": "drip"}
HALF_A_MINUTE, A_SECOND = {"action": "hangs", "seconds": 30.0}, {"action": "hangs", "seconds": 1.0}
WAYS = (NEVER, DRIP, A_SECOND, HALF_A_MINUTE)


@fault(
    "F-13",
    "one channel's provider answers after 1 s, after 30 s, a byte a second, or never",
    passes="dup 0; a call ends at its deadline ± 1 s; the other channel's p95 grows < 10 %",
    rounds=4,
)
def slow_provider(house: Installation, rng: Random) -> Found:
    turn = next(turns["F-13"])
    victim, other = ("email", "push") if turn % 2 == 0 else ("push", "email")
    way = WAYS[(turn + turn // 2) % len(WAYS)]  # eight turns have each way for each channel
    found, ratios = Found(), []
    for _ in range(PAIRS):
        with load(house, rng, events=0, channels=(other,)) as alone:
            found.add(check(alone))
        part = beside_a_slow_one(house, rng, victim, other, way)
        found.add(part)
        calm, disturbed = p95(house, alone.runs[0]), part.more["p95_s"]
        print(f"  {victim} {way}: {other} {calm:.2f} s, {disturbed:.2f} s", file=sys.stderr)
        ratios.append(disturbed / calm)
    del found.more["p95_s"]
    ratio = median(ratios)
    found.note("other_channel_p95_ratio", ratio)
    found.expect(ratio < 1.1, f"{victim} {way}: p95 of {other} × {ratio:.2f}, median of {ratios}")
    return found


def beside_a_slow_one(
    house: Installation, rng: Random, victim: str, other: str, way: dict[str, object]
) -> Found:
    """A run of the other channel, begun when the victim's first calls hang.

    Planning is over by then: it costs processor time whatever the provider does.
    """
    with load(house, rng, events=0, channels=()) as under_way:
        house.providers[PROVIDER[victim]].play(way)
        begin(under_way, victim)
        wait_until(
            lambda: calls_with(under_way, way["action"]) and is_planned(house, under_way.runs[0]),
            seconds=30,
            what="all is planned and a call under way",
        )
        begin(under_way, other)
        wait_until(lambda: is_done(house, under_way.runs[1]), seconds=90, what="the other is over")
        under_way.inject()
        slow_providers(house)
        forget_pauses()
        under_way.unknown_bound = PEOPLE  # until it is known how many hung
        found = check(under_way)
    hung = calls_with(under_way, way["action"])
    # Each call that hung, and where they go together, its batch.
    found.unknown_bound = 0 if way == A_SECOND else len(hung)
    found.expect(found.unknown <= found.unknown_bound, f"{found.unknown} unknown")
    [(longest,)] = house.ask(
        "SELECT extract(epoch FROM max(ended_at - started_at)) FROM delivery_sendattempt a"
        " JOIN delivery_message m ON m.id = a.message_id WHERE m.run_id = ANY(%s)"
        " AND a.detail <> 'no answer before the lease ended'",
        under_way.runs,
    )
    found.note("longest_call_s", float(longest))
    found.expect(longest <= TIMEOUT_SECONDS + 1, f"a call took {longest:.1f} s")
    found.note("p95_s", p95(house, under_way.runs[1]))
    return found


def forget_pauses() -> None:
    """The provider is well again: its channel need not find out by itself."""
    from delivery.models import ChannelPause

    ChannelPause.objects.all().delete()


def begin(load: Load, channel: str) -> None:
    from campaigns import lifecycle
    from engage.lib import clock
    from tests.faults.load import make_campaign

    campaign = make_campaign(channel)
    load.campaigns.append(campaign)
    load.runs.append(lifecycle.launch(campaign, now=clock.now()).pk)


def is_planned(house: Installation, run_id: int) -> bool:
    return house.ask("SELECT state FROM campaigns_run WHERE id = %s", run_id) == [("sending",)]


def is_done(house: Installation, run_id: int) -> bool:
    return house.ask("SELECT state FROM campaigns_run WHERE id = %s", run_id) == [("finished",)]


def p95(house: Installation, run_id: int) -> float:
    """Seconds from the time a message was due until it was accepted, 95 of 100 at most so long."""
    [(seconds,)] = house.ask(
        "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY"
        " extract(epoch FROM m.finished_at - r.scheduled_for))"
        " FROM delivery_message m JOIN campaigns_run r ON r.id = m.run_id"
        " WHERE r.id = %s AND m.state = 'accepted'",
        run_id,
    )
    return float(seconds)


@fault(
    "F-14",
    "the provider accepts, then resets the connection before it answers",
    passes="dup 0, lost 0; what was reset is unknown and never sent again",
    rounds=3,
)
def accept_then_reset(house: Installation, rng: Random) -> Found:
    with load(house, rng) as under_way:
        reset = {"action": "accept_then_reset"}
        house.providers["smtp"].play(reset | {"share": 0.1}, SLOW["email"])
        house.providers["fcm"].play(reset | {"share": 0.002}, SLOW["push"])
        under_way.unknown_bound = 2 * PEOPLE  # until it is known how many were reset
    stopped = resume_stopped(under_way)
    found = check(under_way)
    found.note("runs_that_rails_stopped", stopped)
    lost = calls_with(under_way, "accept_then_reset")
    # A reset of HTTP/2 takes the other streams of its connection along: all of its batch.
    found.injections = len(lost)
    found.unknown_bound = sum(
        SENDING_BATCHES["push"] if call["to"].startswith("token") else 1 for call in lost
    )
    found.expect(lost, "no connection was reset: nothing was tried")
    found.expect(
        len(lost) <= found.unknown <= found.unknown_bound,
        f"{found.unknown} unknown after {len(lost)} resets, at most {found.unknown_bound}",
    )
    return found


@fault(
    "F-15",
    "some recipients in every batch are refused for good",
    passes="all the others delivered once, exactly those failed",
    rounds=3,
)
def poisoned_recipients(house: Installation, rng: Random) -> Found:
    """Refusals that say nothing about the address, or the next round would miss them."""
    bad = rng.sample(range(PEOPLE), 40)
    ways = ["rcpt:550 5.7.1 policy", "data:552 5.3.4 too big", "data:554 5.6.0 content"]
    with load(house, rng) as under_way:
        house.providers["smtp"].play(
            *({"action": rng.choice(ways), "match": mail_of(n)} for n in bad if n >= 100),
            SLOW["email"],
        )
        house.providers["fcm"].play(
            *({"action": "sender_mismatch", "match": token_of(n)} for n in bad if n >= 100),
            SLOW["push"],
        )
    found = check(under_way)
    refused = {
        call["to"]
        for provider in house.providers.values()
        for call in provider.calls()
        if call["at"] >= under_way.started_at and call["fault"] not in {"", "slow"}
    }
    found.injections = len(refused)
    found.expect(refused, "nobody was refused: nothing was tried")
    found.expect(found.states["failed"] == len(refused), f"{found.states}, {len(refused)} refused")
    found.expect(
        found.accepted == found.planned - len(refused),
        f"{found.accepted} accepted of {found.planned - len(refused)} good ones",
    )
    return found


PER_MINUTE = 1_800  # pushes: a campaign is sent for half a minute
LOOKED_AT_SECONDS = 10
MOST_OF_THE_RATE = 1.2  # in that time: a second's worth may be saved up, and one be in hand
ASKED_SECONDS = 75  # longer than the pause after a 429 that does not say
# What was marked before the answer was read; and by the rate the next group goes a second after
# one of which some were still taken, which is no reason to pause.
IN_FLIGHT_SECONDS = 1.5


@fault(
    "F-16",
    "429 with Retry-After of 75 s, as a date, without one; 503 for 40 s",
    passes="no call in the time asked for, else in our own pause (± 1 s); ≤ 1.2 × the rate"
    " in 10 s; calls ≤ 1.2 × needed; lost 0, dup 0",
    rounds=4,
)
def told_to_wait(house: Installation, rng: Random) -> Found:
    from delivery.channels.fcm import QUOTA_SECONDS
    from delivery.policy import FIRST_PAUSE_SECONDS

    way = next(turns["F-16"]) % 4
    with rated("push", PER_MINUTE), load(house, rng, channels=("push",)) as under_way:
        under_way.wait_for_calls(rng.uniform(0.1, 0.5))
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=ASKED_SECONDS)
        rule, seconds = [
            ({"action": "quota", "retry_after": str(ASKED_SECONDS)}, ASKED_SECONDS),
            ({"action": "quota", "retry_after": format_datetime(moment, usegmt=True)}, None),
            ({"action": "quota"}, QUOTA_SECONDS),
            ({"action": "unavailable"}, FIRST_PAUSE_SECONDS),
        ][way]
        house.providers["fcm"].play(rule)
        time.sleep(40 if rule["action"] == "unavailable" else 3)  # so long that it is asked again
        under_way.inject()
        slow_providers(house)
        found = check(under_way, recover_seconds=150)
    calls = [c for c in house.providers["fcm"].calls() if c["at"] >= under_way.started_at]
    refused = [call["at"] for call in calls if call["fault"] == rule["action"]]
    found.expect(refused, "nobody was refused: nothing was tried")
    waits = [(at, at + seconds if seconds else moment.timestamp()) for at in refused]
    early = [
        call["at"] - refused[0]
        for call in calls
        if any(at + IN_FLIGHT_SECONDS < call["at"] < until - 1 for at, until in waits)
    ]
    found.expect(not early, f"{len(early)} calls while we were to wait, after {early[:3]} s")
    found.note("calls_per_message", len(calls) / max(found.planned, 1))
    found.expect(
        len(calls) <= 1.2 * found.planned, f"{len(calls)} calls for {found.planned} messages"
    )
    most = busiest([call["at"] for call in calls], seconds=LOOKED_AT_SECONDS)
    share = most / (PER_MINUTE / 60 * LOOKED_AT_SECONDS)
    found.note("of_the_rate", share)
    found.expect(share <= MOST_OF_THE_RATE, f"{most} calls within {LOOKED_AT_SECONDS} s")
    return found


@contextmanager
def rated(channel: str, per_minute: int) -> Iterator[None]:
    from delivery import rates
    from delivery.models import SendRate

    rates.set_rate(channel, per_minute=per_minute)
    try:
        yield
    finally:
        SendRate.objects.filter(scope=channel).delete()


def busiest(moments: list[float], *, seconds: float) -> int:
    """The most of them within so many seconds."""
    ordered = sorted(moments)
    return max(
        (bisect_left(ordered, first + seconds) - n for n, first in enumerate(ordered)), default=0
    )


@fault(
    "F-18",
    "answers that are none: HTML on 200, nothing, half of one, a gigabyte, one without an end",
    passes="each classed as unknown, nothing sent again, a worker grows by less than 20 MB",
    rounds=3,
)
def malformed_answers(house: Installation, rng: Random) -> Found:
    shares = {"html": 0.01, "empty": 0.01, "cut": 0.01, "huge": 0.02}
    with load(house, rng, events=0) as calm:
        pass
    check(calm)
    first = peaks_of(house)  # with good answers to as many messages
    with load(house, rng) as under_way:
        under_way.unknown_bound = 2 * PEOPLE
        house.providers["fcm"].play(
            *({"action": kind, "share": share} for kind, share in shares.items()), SLOW["push"]
        )
        house.providers["smtp"].play(
            {"action": "garbage", "share": 0.02}, {"action": "endless", "share": 0.02},
            SLOW["email"],
        )  # fmt: skip
    grown = {pid: size - first[pid] for pid, size in peaks_of(house).items() if pid in first}
    found = check(under_way)
    odd = calls_with(under_way, *shares, "garbage", "endless")
    found.injections = found.unknown_bound = len(odd)
    found.expect(
        {call["fault"] for call in odd} == {*shares, "garbage", "endless"},
        "not every kind of answer was given: not all was tried",
    )
    found.expect(found.unknown == len(odd), f"{found.unknown} unknown of {len(odd)} odd answers")
    found.note("worker_grew_mb", max(grown.values(), default=0.0))
    found.expect(grown and max(grown.values()) < 20, f"a worker grew by {grown} MB")
    return found


def peaks_of(house: Installation) -> dict[int, float]:
    """The most megabytes that each process that sends ever had."""
    sizes = {}
    for pid in nemesis.children_of(house.program("sender")):
        [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        sizes[pid] = int(kilobytes) / 1e3
    return sizes
