"""Each provider of push gets no more than its rate allows, and none waits for the other."""

import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from delivery import outbox, rates
from delivery.channels import registry
from delivery.dispatch import dispatch
from delivery.errors import ChannelUnavailable
from delivery.models import Message, RunHold, SendRate
from engage.lib import redis
from engage.profiles.models import Device
from tests.delivery.sending import SharedRecordingChannel, compose_for, use_channel
from tests.factories import NOON, make_message, make_profile

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]


@pytest.fixture
def push():
    yield use_channel(SharedRecordingChannel(), name="push")
    registry.forget_channels()


def plan(device: str, people: int, **fields: object) -> dict[int, str]:
    """Address by profile, each with a planned push."""
    found = {}
    for _ in range(people):
        person = make_profile(push_token=f"{device} {uuid.uuid4()}")
        made = Device.objects.get(profile=person)
        found[person.pk] = made.token
        given = {"run_id": 1, "channel": "push", "address_id": made.device_id} | fields
        make_message(profile=person, **given)
    return found


def send(addresses: dict[int, str], *, now=NOON, limit: int = 100):
    return dispatch(channel="push", compose=compose_for(addresses), limit=limit, now=now)


def waits(**filters: object) -> list[float]:
    """Seconds from now, of what is planned and was never called."""
    planned = Message.objects.filter(state="planned", attempt=0, lease_token=None, **filters)
    return sorted((m.not_before - NOON).total_seconds() for m in planned)


def minutes(**filters: object) -> list[int]:
    return [round(seconds / 60) for seconds in waits(**filters)]


def held(scope: str) -> float:
    """What the bucket has after `rates.take` looked at it, without what came since."""
    return float(redis.client().hget(rates.bucket(scope), "tokens"))


def test_one_of_the_slow_provider_goes_and_all_of_the_other(push):
    SendRate.objects.create(scope="fcm", per_minute=60)
    addresses = plan("android", 5) | plan("iphone", 7)
    report = send(addresses)
    assert (push.sent_to("fcm"), push.sent_to("apns")) == (1, 7)
    assert dict(report.states) == {"accepted": 8, "planned": 4}
    assert outbox.count_states(1)["planned"] == 4
    found = waits()
    assert 1 <= found[0] < 60  # what the tests took, and one second
    assert [round(at - found[0], 3) for at in found] == [0, 1, 2, 3]


def test_the_next_claim_does_not_take_what_waits_for_the_slow_provider(push):
    SendRate.objects.create(scope="fcm", per_minute=1)
    addresses = plan("android", 5)
    send(addresses)
    assert send(addresses, now=NOON + timedelta(seconds=2)).claimed == 0
    assert minutes() == [1, 2, 3, 4]


def test_later_chunks_of_a_run_queue_behind_its_first_and_other_runs_do_not(push):
    SendRate.objects.create(scope="fcm", per_minute=1)
    addresses = plan("android", 9) | plan("android", 2, run_id=2)
    for _ in range(3):
        send(addresses, limit=4)
    assert minutes(run_id=1) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert minutes(run_id=2) == [1, 2]


def test_nobody_waits_longer_than_an_hour_before_it_asks_again(push):
    SendRate.objects.create(scope="fcm", per_minute=1)
    rates.take({"fcm": 1}, wanted=1)
    addresses = plan("android", 65)
    for _ in range(2):
        send(addresses, limit=40)
    assert minutes() == [*range(1, 60), *[60] * 6]


def test_what_somebody_waits_for_takes_the_token_before_a_campaign(push):
    SendRate.objects.create(scope="fcm", per_minute=1)
    addresses = plan("android", 3, not_before=NOON - timedelta(hours=1))
    addresses |= plan("android", 2, run_id=2, kind="triggered")
    addresses |= plan("android", 1, run_id=3, kind="transactional")
    send(addresses)
    assert Message.objects.get(state="accepted").run_id == 3
    assert minutes(run_id=2) == [1, 2]


@pytest.mark.parametrize("of_channel", [None, 600])
def test_a_run_for_the_slow_provider_does_not_starve_the_run_behind_it(push, of_channel):
    """Not even where the claims are small: the rate of the channel bounds them, too."""
    SendRate.objects.create(scope="fcm", per_minute=1)
    if of_channel:
        SendRate.objects.create(scope="push", per_minute=of_channel)
    addresses = plan("android", 30, not_before=NOON - timedelta(hours=1))
    addresses |= plan("iphone", 3, run_id=2)
    more, chunks = True, 0
    while more and chunks < 20:
        more, chunks = send(addresses, limit=10).more, chunks + 1
    assert (push.sent_to("fcm"), push.sent_to("apns")) == (1, 3)
    assert len(waits()) == 29


def test_the_channel_and_the_run_get_back_what_the_provider_did_not_take(push):
    for scope, per_minute in {"push": 600, "run 1": 480, "fcm": 60}.items():
        SendRate.objects.create(scope=scope, per_minute=per_minute)
    addresses = plan("android", 5) | plan("iphone", 1)
    seen = []
    push.before_answering = lambda drafts: seen.append((held("push"), held("run 1")))
    send(addresses)
    assert (push.sent_to("fcm"), push.sent_to("apns")) == (1, 1)
    assert seen == [(8, 6)]  # before the call: it may take long
    assert (held("push"), held("run 1"), held("fcm")) == (8, 6, 0)


def test_the_rate_of_a_run_holds_whatever_its_providers_allow(push):
    SendRate.objects.create(scope="run 1", per_minute=120)
    SendRate.objects.create(scope="fcm", per_minute=6_000)
    send(plan("android", 6) | plan("iphone", 6) | plan("android", 4, run_id=2))
    sent = Counter(Message.objects.filter(state="accepted").values_list("run_id", flat=True))
    assert sent == {1: 2, 2: 4}


def test_what_the_mark_refuses_gives_its_tokens_back(push):
    SendRate.objects.create(scope="push", per_minute=600)
    SendRate.objects.create(scope="fcm", per_minute=300)
    addresses = plan("android", 4)

    def compose(messages):
        outbox.hold_run(1, state=RunHold.State.PAUSED)
        return compose_for(addresses)(messages)

    dispatch(channel="push", compose=compose, limit=100, now=NOON)
    assert push.calls == []
    assert (held("push"), held("fcm")) == (10, 5)


def test_what_a_pause_of_the_channel_keeps_back_gives_its_tokens_back(push):
    SendRate.objects.create(scope="fcm", per_minute=1_800)
    addresses = plan("android", 25)
    push.answers = dict.fromkeys(addresses.values(), ChannelUnavailable("refused"))
    send(addresses)
    assert [len(call) for call in push.calls] == [10]
    assert held("fcm") == 20


def test_without_a_rate_of_theirs_redis_is_not_asked(push, monkeypatch):
    SendRate.objects.create(scope="email", per_minute=60)
    monkeypatch.setattr(redis, "client", lambda: pytest.fail("a trip to Redis"))
    send(plan("android", 2) | plan("iphone", 2))
    assert len(push.addresses) == 4


SETTINGS = [
    {"push": 1_200, "fcm": 600, "apns": 900},
    {"push": 600, "fcm": 1_200, "apns": 240},
    {"push": 3_000, "fcm": 300, "apns": 1_500, "run 1": 900},
    {"fcm": 900, "run 2": 120},
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("given", SETTINGS)
def test_no_rate_is_exceeded_whoever_sends_and_however_many_send(given):
    for scope, per_minute in given.items():
        SendRate.objects.create(scope=scope, per_minute=per_minute)
    addresses = {}
    for run in (1, 2):
        for _ in range(15):
            addresses |= plan("android", 3, run_id=run) | plan("iphone", 3, run_id=run)
    runs = {addresses[m.profile_id]: m.run_id for m in Message.objects.all()}
    used: Counter[str] = Counter()

    def work(worker: int) -> Counter[str]:
        push = use_channel(SharedRecordingChannel(), name="push")
        try:
            while (passed := time.monotonic() - started) < 1.5:
                send(addresses, now=NOON + timedelta(seconds=passed), limit=20)
        finally:
            connection.close()
        drafts = [draft for call in push.calls for draft in call]
        of_runs = [runs[address] for address in push.addresses]
        return Counter(
            ["push"] * len(drafts)
            + [push.provider_of(draft) for draft in drafts]
            + [f"run {run}" for run in of_runs]
        )

    started = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        for counted in pool.map(work, range(3)):
            used += counted
    passed = time.monotonic() - started
    for scope, per_minute in given.items():
        assert 1 <= used[scope] <= per_minute / 60 * (1 + passed) + 1, scope
    assert used["push"] == Message.objects.filter(state="accepted").count()
    assert not Message.objects.exclude(state__in=["accepted", "planned"]).exists()
    registry.forget_channels()
