"""Nothing goes out faster than a rate allows, whoever asks and however many ask."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from delivery import rates
from delivery.dispatch import dispatch
from delivery.models import Message, SendRate
from tests.delivery.sending import RecordingChannel, compose_for, use_channel
from tests.factories import NOON, make_message, make_profile

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]


def test_a_full_bucket_gives_one_second_and_then_what_time_brings():
    rate = {"email": 600}
    assert rates.take(rate, wanted=100) == 10
    assert rates.take(rate, wanted=100) == 0
    time.sleep(0.35)
    assert 3 <= rates.take(rate, wanted=100) <= 9


def test_a_slow_rate_gives_one_at_a_time():
    assert [rates.take({"sms": 1}, wanted=5) for _ in range(3)] == [1, 0, 0]


def test_of_two_buckets_the_emptier_decides_and_both_give_the_same():
    both = {"email": 600, "run 4": 120}
    assert rates.take(both, wanted=100) == 2
    assert rates.take({"email": 600}, wanted=100) == 8


def test_takers_at_once_never_get_more_than_one_of_them_would():
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(lambda _: rates.take({"push": 6_000}, wanted=7), range(200)))
    assert 100 <= taken <= 100 + 100 * (time.monotonic() - started) + 1


def test_no_rate_gives_all():
    assert rates.take({}, wanted=7) == 7
    assert rates.grant("email", limit=7, now=NOON).most is None


def plan(people: int, *, run_id: int, **fields: object) -> dict[int, str]:
    found = {}
    for _ in range(people):
        person = make_profile(opted_in=("email",))
        found[person.pk] = f"p{person.pk}@shop.example"
        make_message(profile=person, run_id=run_id, **fields)
    return found


def accepted(run_id: int) -> int:
    return Message.objects.filter(run_id=run_id, state="accepted").count()


@pytest.mark.django_db(transaction=True)
def test_a_run_with_a_rate_does_not_hold_back_the_others():
    SendRate.objects.create(scope="run 1", per_minute=120)
    addresses = plan(6, run_id=1) | plan(6, run_id=2)
    use_channel(RecordingChannel())
    dispatch(channel="email", compose=compose_for(addresses), limit=100, now=NOON)
    assert (accepted(1), accepted(2)) == (2, 6)


@pytest.mark.django_db(transaction=True)
def test_one_that_somebody_waits_for_takes_one_token_and_the_backlog_the_others():
    SendRate.objects.create(scope="email", per_minute=300)
    addresses = plan(9, run_id=1, not_before=NOON - timedelta(hours=1))
    addresses |= plan(1, run_id=2, kind="transactional")
    use_channel(RecordingChannel())
    dispatch(channel="email", compose=compose_for(addresses), limit=100, now=NOON)
    assert (accepted(1), accepted(2)) == (4, 1)


@pytest.mark.django_db(transaction=True)
def test_what_was_granted_and_found_no_message_is_given_back():
    SendRate.objects.create(scope="email", per_minute=600)
    addresses = plan(4, run_id=1)
    use_channel(RecordingChannel())
    dispatch(channel="email", compose=compose_for(addresses), limit=100, now=NOON)
    assert accepted(1) == 4
    assert rates.take({"email": 600}, wanted=100) >= 6
