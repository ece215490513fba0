"""People become others while servers ask for them, and senders are at it."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from django.db import connection

from campaigns import lifecycle, sending, transactional
from delivery import outbox, reaping
from delivery.channels import registry
from delivery.drafts import Accepted, TryLater
from delivery.models import Message
from engage.lib import clock
from engage.profiles import identity
from engage.profiles.store import store_events
from tests.delivery.sending import RecordingChannel, use_channel
from tests.engage.profiles.events import alias
from tests.factories import make_campaign, make_profile, make_template

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_keys"),
]
PEOPLE = 9  # three names each, that become one
ORDERS = ((("a", "b"), ("b", "c")), (("b", "c"), ("a", "c")))
WISHES = 4 * PEOPLE  # of both, before each merge
SHOPS = SENDERS = 3


class Moody(RecordingChannel):
    """It often says "later", which sends nothing: there is time to become somebody else."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = random.Random(seed)
        self.batch_size = 4
        self.taken: list[str] = []
        self.put_off: Counter[UUID] = Counter()

    def send(self, drafts):
        answers = []
        for draft in drafts:
            if self.rng.random() < 0.6 and self.put_off[draft.key] < 2:
                self.put_off[draft.key] += 1
                answers.append(TryLater("busy"))
            else:
                self.taken.append(draft.content.subject)
                answers.append(Accepted())
        return answers


def test_each_wish_arrives_once_however_the_names_come_together():
    template = make_template(subject="{{ event.order }}", body="Thank you")
    campaign = make_campaign(template=template, schedule="api")
    lifecycle.launch(campaign, now=clock.now())
    run = campaign.runs.get()
    for n in range(PEOPLE):
        for name in "abc":
            make_profile(user_id=f"{name}{n}", email=f"{name}{n}@shop.example")
    channels, sums, over = [], [], threading.Event()

    def ask_and_merge(seed: int) -> None:
        """Of a third of the people; a server repeats itself, as who has no answer does."""
        for n in range(seed, PEOPLE, SHOPS):
            for loser, winner in random.Random(n).choice(ORDERS):
                wishes = [f"{name}{n} before {loser}" for name in (loser, winner) for _ in "12"]
                for wish in wishes:
                    ask(wish)
                store_events([alias(f"{loser}{n}", f"{winner}{n}")], now=clock.now())
                for wish in wishes:
                    ask(wish)

    def ask(wish: str) -> None:
        person = identity.find_profile_id(user_id=wish.split()[0])
        said = {"order": wish}
        transactional.ask(campaign.pk, person, key=wish, properties=said, now=clock.now())

    def send(seed: int) -> None:
        channel = use_channel(Moody(seed))
        channels.append(channel)
        while not over.is_set():
            sending.send_chunk("email", now=clock.now())
            reaping.reap(clock.now())
            sums.append(planned_and_sum(run))
            Message.objects.filter(state="planned").update(not_before=clock.now())
        registry.forget_channels()

    def on_a_connection(work, seed: int) -> None:
        try:
            work(seed)
        finally:
            connection.close()

    with ThreadPoolExecutor(SENDERS + SHOPS) as pool:
        senders = [pool.submit(on_a_connection, send, seed) for seed in range(SENDERS)]
        try:
            shops = [pool.submit(on_a_connection, ask_and_merge, seed) for seed in range(SHOPS)]
            for one in shops:
                one.result(120)
            wait_until_nothing_is_open(run)
        finally:
            over.set()
        for one in senders:
            one.result(30)
    taken = Counter(subject for channel in channels for subject in channel.taken)
    assert len(taken) == WISHES
    assert set(taken.values()) == {1}
    assert all(planned == summed for planned, summed in sums)
    states = Counter(Message.objects.values_list("state", "reason"))
    assert states["accepted", ""] == WISHES
    assert set(states) == {("accepted", ""), ("suppressed", "merged")}
    run.refresh_from_db()
    assert (run.audience, run.planned) == (WISHES, sum(states.values()))


def planned_and_sum(run) -> tuple[int, int]:
    """At one moment: in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT planned, (SELECT count(*) FROM delivery_message WHERE run_id = %s)"
            " FROM campaigns_run WHERE id = %s",
            [run.pk, run.pk],
        )
        return cursor.fetchone()


def wait_until_nothing_is_open(run) -> None:
    end = threading.Event()
    for _ in range(600):
        counts = outbox.count_states(run.pk)
        if not any(counts[state] for state in Message.OPEN):
            return
        end.wait(0.1)
    raise AssertionError(f"still open: {outbox.count_states(run.pk)}")
