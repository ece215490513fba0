"""The outbox against a small model: no sequence of steps breaks a rule or calls twice."""

import os
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from delivery import claiming, marking, outbox, policy, reaping, receipts, replay, suppression
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.models import (
    Cap,
    ChannelPause,
    Message,
    Receipt,
    RunHold,
    SendAttempt,
    Suppression,
)
from delivery.outbox import MOVES
from delivery.results import judge
from engage.lib.clock import to_millis
from engage.profiles.models import Consent, Device, Identity, Profile
from tests.delivery.outbox_model import (
    CALLS_UNKNOWN,
    MOST_RETURNS,
    OTHERS_CALLS,
    WEBHOOK_CALLS,
    Ledger,
    Row,
)
from tests.delivery.sending import LONG_AGO, make_draft
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db
OUTCOMES = {
    "accepted": Accepted("m"),
    "refused": Refused("no"),
    "later": TryLater("busy"),
    "unknown": Unknown("silence"),
}
PEOPLE = 3
CHANNELS = ("email", "sms", "push", "webhook")
RUNS = {"transactional": 1, "triggered": 2, "test": None}  # campaigns have one after the other
WAYS = [
    *[("email", "campaign")] * 3,
    *[("email", "transactional")] * 2,
    ("email", "triggered"),
    ("email", "test"),
    ("sms", "campaign"),
    ("sms", "transactional"),
    ("push", "campaign"),
    ("push", "transactional"),
    *[("webhook", "campaign")] * 2,
]
WORLD = [
    "person_changes_their_mind",
    *["leases_end_and_are_reaped"] * 3,
    "time_passes",
    "address_bounces_or_is_lifted",
    "run_is_paused_or_resumed",
    "night_passes",
    "run_is_cancelled_and_another_begins",
    "what_is_unknown_is_settled",
    "a_cap_begins_or_ends",
    *["webhooks_are_sent_again_by_hand"] * 2,
]
NO_END = timedelta(days=70)  # of webhooks: their pauses are no matter of the model
OVER = {"accepted", "failed", "suppressed", "expired", "cancelled"}
# `ENGAGE_SEQUENCES=10000 pytest tests/delivery/test_outbox_machine.py` takes more than an hour.
SEQUENCES = int(os.environ.get("ENGAGE_SEQUENCES", "60"))


@dataclass
class Worker:
    claim: int
    token: uuid.UUID
    held: list[Message]
    marked: list[tuple[Message, int]] = field(default_factory=list)  # each with its call


class Outbox(RuleBasedStateMachine):
    """`model` says of each message what state it must be in."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.workers: list[Worker] = []
        self.moments = 0
        self.over: dict[uuid.UUID, str] = {}  # final states, as they were first seen
        self.counted: dict[int, Counter[str]] = {}
        self.arrived: dict[uuid.UUID, int] = {}  # calls when a receipt told of the message

    @initialize()
    def begin(self) -> None:
        for model in (
            Cap,
            Receipt,
            SendAttempt,
            Message,
            Suppression,
            RunHold,
            ChannelPause,
            Consent,
            Device,
            Identity,
            Profile,
        ):
            model.objects.all().delete()
        people = [
            make_profile(email=f"p{n}@shop.example", push_token=f"t{n}", opted_in=CHANNELS)
            for n in range(PEOPLE)
        ]
        self.people = [person.pk for person in people]
        agreed = {(channel, person): True for channel in CHANNELS for person in self.people}
        self.model = Ledger(agreed, run=4)

    def address(self, channel: str, person: int) -> str:
        number = self.people.index(person)
        return {
            "email": f"p{number}@shop.example",
            "sms": f"+1555000222{number}",
            "push": f"t{number}",
            "webhook": f"https://shop.example/{number}",
        }[channel]

    @rule(data=st.data())
    def something_happens(self, data) -> None:
        """One rule, because Hypothesis leaves out half of the rules of a machine in each run."""
        self.now += timedelta(seconds=1)  # of two words of a person one is the later
        parts = [
            *[self.a_worker_does_its_next_step] * 12,
            *[self.the_world_goes_on] * 4,
            *[self.a_provider_tells] * (3 * bool(self.model.rows)),
            *[self.plan] * 2,
            self.a_provider_answers_the_same_again_and_again,
        ]
        data.draw(st.sampled_from(parts))(data)

    def plan(self, data) -> None:
        for channel, kind in data.draw(st.lists(st.sampled_from(WAYS), min_size=1, max_size=3)):
            self._plan(channel, kind, minutes=data.draw(st.sampled_from([20, 200, 2_000])))

    def _plan(self, channel: str, kind: str, *, minutes: int) -> list[Row]:
        if channel == "webhook":
            minutes = NO_END // timedelta(minutes=1)
        planned = []
        for person in self.people:
            place = self.moment()
            message = make_message(
                # Pauses depend on it, and a sequence must go the same way twice.
                id=uuid.uuid5(uuid.NAMESPACE_OID, str(self.moments)),
                profile=Profile(pk=person), channel=channel, kind=kind, now=self.now,
                run_id=RUNS.get(kind, self.model.run),
                not_before=self.now - timedelta(seconds=1) + place,
                expires_at=self.now + timedelta(minutes=minutes),
                address_id=f"d{person}" if channel == "push" else "",
                topic="" if kind == "triggered" else "offers",
            )  # fmt: skip
            row = self.model.rows[message.id] = Row(
                message.id, person, channel, kind, message.run_id, message.created_at,
                message.not_before, message.expires_at,
            )  # fmt: skip
            planned.append(row)
        return planned

    def moment(self) -> timedelta:
        """Another one each time: what is due first must not depend on how rows lie on the disk."""
        self.moments += 1
        return timedelta(microseconds=self.moments)

    def a_worker_does_its_next_step(self, data) -> None:
        """Whatever is possible now, the later steps more often."""
        steps = ["claim", "claim", "claim_and_die"] * bool(self._waiting())
        steps += ["mark"] * bool(self._holding()) * 3
        steps += ["record"] * bool(self._calling()) * 4
        steps += ["release"] * bool(self._holding())
        steps += ["crash"] * (len(self.workers) > 3)
        if steps:
            getattr(self, data.draw(st.sampled_from(steps)))(data)

    def claim(self, data) -> None:
        limit = data.draw(st.sampled_from([1, 2, 3, 4, 8, 40]))
        self._claim(data.draw(st.sampled_from(self._waiting())), limit=limit)

    def _claim(self, channel: str, *, limit: int) -> None:
        claimed = claiming.claim(channel=channel, limit=limit, now=self.now)
        assert {m.id for m in claimed} == self.model.claim(channel, limit=limit, now=self.now)
        if claimed:
            token = claimed[0].lease_token
            claimed.sort(key=lambda message: message.not_before)
            self.workers.append(Worker(self.model.claims, token, claimed))

    def claim_and_die(self, data) -> None:
        self.claim(data)
        self.leases_end_and_are_reaped(0)

    def mark(self, data) -> None:
        self._mark(data.draw(st.sampled_from(self._holding())))

    def _mark(self, worker: Worker) -> None:
        messages, worker.held = worker.held, []
        drafts = [make_draft(m, address=self.address(m.channel, m.profile_id)) for m in messages]
        marked = marking.mark(messages, drafts, token=worker.token, call_seconds=20, now=self.now)
        for message in messages:
            mine = self.model.holds(worker.claim, message.id)
            assert (message.id in marked.decisions) == mine
            allowed = mine and self.model.mark(message.id, now=self.now)
            assert marked.allowed(message) == allowed
            if allowed:
                row = self.model.rows[message.id]
                assert not self.model.is_closed(row)
                assert marked.attempt(message) == row.calls
                worker.marked.append((message, row.calls))

    def record(self, data) -> None:
        outcome = data.draw(st.sampled_from(sorted(OUTCOMES)))
        self._record(data.draw(st.sampled_from(self._calling())), outcome)

    def _record(self, worker: Worker, outcome: str) -> None:
        message, call = worker.marked.pop(0)
        now = self.now + self.moment()
        result = judge(message, OUTCOMES[outcome], attempt=call, now=now)
        fenced = marking.record(
            [message], [result], token=worker.token, attempts=[call], started_at=now, now=now
        )
        assert fenced == (not self.model.answer(message.id, outcome, call=call, now=now))
        self._follow_the_pauses_of_webhooks()

    def crash(self, data) -> None:
        self.workers.remove(data.draw(st.sampled_from(self.workers)))

    def release(self, data) -> None:
        worker = data.draw(st.sampled_from(self._holding()))
        held = [m for m in worker.held if self.model.holds(worker.claim, m.id)]
        before = NOON - timedelta(days=1)  # so each keeps its own moment
        count = outbox.release(worker.held, token=worker.token, not_before=before)
        assert count == len(held)
        for message in held:
            self.model.release(message.id)
        worker.held = []

    def a_provider_answers_the_same_again_and_again(self, data) -> None:
        """Until the policy makes no other call; and webhooks once more, by hand."""
        channel, kind = data.draw(st.sampled_from([*WAYS, *3 * list(CALLS_UNKNOWN)]))
        rows = self._plan(channel, kind, minutes=10_000)
        self._call_until_the_end(rows, data)
        if channel == "webhook":
            self.webhooks_are_sent_again_by_hand(0)
            self._call_until_the_end(rows, data)

    def _call_until_the_end(self, rows: list[Row], data) -> None:
        """A receipt may come during one of the calls."""
        channel = rows[0].channel
        outcome = data.draw(st.sampled_from([*OUTCOMES, "later", "unknown", "its caller dies"]))
        rounds = max(WEBHOOK_CALLS, OTHERS_CALLS) + 1
        heard_in = data.draw(st.integers(1, rounds))
        for one in range(1, rounds + 1):
            waiting = [row for row in rows if row.state == "planned"]
            if not waiting or self.model.is_stopped(waiting[0]):
                break
            self.now = max(self.now, *(row.due for row in waiting))
            for worker in self._claim_and_mark(channel):
                if one == heard_in and channel != "webhook" and worker.marked:
                    heard = self.model.rows[worker.marked[0][0].id]
                    self._tell(heard, Receipt.Kind.DELIVERED, "", times=1)
                while worker.marked and outcome in OUTCOMES:
                    self._record(worker, outcome)
            if outcome not in OUTCOMES:
                self.leases_end_and_are_reaped(0)

    def _claim_and_mark(self, channel: str) -> list[Worker]:
        known = len(self.workers)
        self._claim(channel, limit=40)
        for worker in self.workers[known:]:
            self._mark(worker)
        return self.workers[known:]

    def a_provider_tells(self, data) -> None:
        """A receipt at any time: before, during and after the call, once or twice."""
        called = [row for row in self.model.rows.values() if row.calls]
        row = data.draw(st.sampled_from(called or list(self.model.rows.values())))
        if row.channel == "webhook":
            return  # whose receivers send none
        kind = data.draw(st.sampled_from(Receipt.Kind.values))
        address = data.draw(st.sampled_from(["", self.address(row.channel, row.person)]))
        self._tell(row, kind, address, times=data.draw(st.sampled_from([1, 2])))
        if self.model.is_closed(row):  # and what is marked next does not go there
            self._plan(row.channel, "transactional", minutes=200)
            self._claim_and_mark(row.channel)

    def _tell(self, row: Row, kind: str, address: str, *, times: int) -> None:
        by_key = row.channel in receipts.TO_ADDRESSES
        key = Message.objects.values_list("key", flat=True).get(id=row.id) if by_key else row.id
        said = receipts.Said(
            "esp", row.channel, Receipt.Kind(kind), self.now, key=key, address=address
        )
        expected = Counter(
            self.model.hear(row.id, kind, address=bool(address)) for _ in range(times)
        )
        assert receipts.take([said] * times, now=self.now)._asdict() == {
            name: expected[name] for name in receipts.Taken._fields
        }
        assert Receipt.objects.count() == len(self.model.told)
        if row.calls and expected["new"]:
            self.arrived.setdefault(row.id, row.calls)

    def the_world_goes_on(self, data) -> None:
        getattr(self, data.draw(st.sampled_from(WORLD)))(data.draw(st.sampled_from(self.people)))

    def leases_end_and_are_reaped(self, person: int) -> None:
        """What may be called again by itself, so that it is due at a moment of its own."""
        held = [r for r in self.model.rows.values() if r.state in {"leased", "attempting"}]
        alone = [r for r in held if r.state == "attempting" and r.most_calls_unknown]
        for group in [*([row] for row in alone), [row for row in held if row not in alone]]:
            now = self.now + self.moment()
            ids = [row.id for row in group]
            Message.objects.filter(id__in=ids).update(lease_until=LONG_AGO)
            reaping.reap(now)
            for message_id in ids:
                self.model.lose(message_id, now=now)
        reaping.reap(self.now)
        self.model.sweep(self.now)
        self._follow_the_pauses_of_webhooks()

    def time_passes(self, person: int) -> None:
        self.now += timedelta(minutes=5)

    def night_passes(self, person: int) -> None:
        self.now += timedelta(hours=10)

    def person_changes_their_mind(self, person: int) -> None:
        agrees = not self.model.agreed["email", person]
        Consent.objects.filter(profile_id=person).update(
            status="opted_in" if agrees else "opted_out", stated_ms=to_millis(self.now)
        )
        for channel in CHANNELS:
            self.model.agreed[channel, person] = agrees

    def address_bounces_or_is_lifted(self, person: int) -> None:
        address = self.address("email", person)
        if ("email", person) in self.model.closed:
            suppression.lift(address, channel="email")
        else:
            suppression.suppress(address, channel="email", reason="bounced")
        self.model.closed ^= {("email", person)}

    def run_is_paused_or_resumed(self, person: int) -> None:
        if self.model.paused:
            outbox.free_run(self.model.run)
        else:
            outbox.hold_run(self.model.run, state=RunHold.State.PAUSED)
        self.model.paused = not self.model.paused

    def a_cap_begins_or_ends(self, person: int) -> None:
        """What an event sent is about another topic, and no rival: the model knows of none."""
        if self.model.cap:
            Cap.objects.all().delete()
        else:
            Cap.objects.create(
                name="one in six hours", most=1, period="hours", hours=6, channel="email",
                topic="offers",
            )  # fmt: skip
        self.model.cap = not self.model.cap

    def webhooks_are_sent_again_by_hand(self, person: int) -> None:
        again = replay.plan_again([1], now=self.now)
        rows = self.model.send_again(self.now)
        assert again == (len(rows), False)
        for row in rows:
            row.due = self.now - timedelta(seconds=1) + self.moment()
            row.expires = self.now + NO_END
            Message.objects.filter(id=row.id).update(not_before=row.due, expires_at=row.expires)
            self.over.pop(row.id, None)

    def what_is_unknown_is_settled(self, person: int) -> None:
        outbox.settle_unknown(self.model.run)
        self.model.settle()

    def run_is_cancelled_and_another_begins(self, person: int) -> None:
        outbox.cancel_run(self.model.run, self.now)
        reaping.reap(self.now)
        self.model.run, self.model.paused = self.model.run + 1, False
        self.model.sweep(self.now)

    def _follow_the_pauses_of_webhooks(self) -> None:
        """How long they are is their own policy's matter."""
        planned = Message.objects.filter(channel="webhook", state="planned")
        for message_id, due in planned.values_list("id", "not_before"):
            self.model.rows[message_id].due = due

    @invariant()
    def rows_are_what_the_model_says(self) -> None:
        actual = Message.objects.values_list("id", "state", "attempt", "not_before")
        rows = self.model.rows.values()
        assert {one[:3] for one in actual} == {(r.id, r.state, r.calls) for r in rows}
        planned = {i: due for i, state, _, due in actual if state == "planned"}
        assert planned == {r.id: r.due for r in rows if r.state == "planned"}

    @invariant()
    def every_message_is_counted_once(self) -> None:
        """Of the runs in which something moved: the rows are compared anyway."""
        counts: dict[int, Counter[str]] = {}
        for row in self.model.rows.values():
            if row.run is not None:
                counts.setdefault(row.run, Counter())[row.state] += 1
        for run in counts:
            if counts[run] != self.counted.get(run):
                assert +Counter(outbox.count_states(run)) == counts[run]
        self.counted = counts

    @invariant()
    def every_move_is_a_legal_one(self) -> None:
        assert self.model.moves <= {(str(a), str(b)) for a, after in MOVES.items() for b in after}

    @invariant()
    def what_is_over_stays_as_it_is(self) -> None:
        over = {r.id: r.state for r in self.model.rows.values() if r.state in OVER}
        assert self.over.items() <= over.items()
        self.over = over

    @invariant()
    def nobody_is_called_more_often_than_the_policy_of_the_message_allows(self) -> None:
        for row in self.model.rows.values():
            assert row.round - row.laters <= max(1, row.most_calls_unknown)

    @invariant()
    def nobody_is_called_whom_a_receipt_says_the_message_reached(self) -> None:
        assert self.arrived == {one: self.model.rows[one].calls for one in self.arrived}

    def _waiting(self) -> list[str]:
        """Channels that have something to claim, sooner or later."""
        rows = [r for r in self.model.rows.values() if r.state == "planned"]
        return sorted({row.channel for row in rows})

    def _holding(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.held]

    def _calling(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.marked]


class RolledBackOutbox(Outbox):
    """Every sequence in a transaction of its own, undone at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)


def test_no_sequence_breaks_the_outbox(monkeypatch):
    monkeypatch.setattr(policy, "MOST_RETURNS", MOST_RETURNS)
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        RolledBackOutbox,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=40,
            deadline=None,
            derandomize=SEQUENCES == 60,
            phases=[Phase.generate],  # a long sequence says enough; shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
