"""The outbox against a small model: no sequence of steps breaks a rule or calls twice."""

import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from delivery import marking, outbox, suppression
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.models import (
    ChannelPause,
    Message,
    RunHold,
    SendAttempt,
    Suppression,
)
from delivery.outbox import MOVES
from engage.lib.clock import to_millis
from engage.profiles.models import Consent, Profile
from tests.delivery.sending import end_leases, make_draft
from tests.factories import NOON, make_message, make_profile

pytestmark = pytest.mark.django_db
OUTCOMES = {
    "accepted": Accepted("m"),
    "refused": Refused("no"),
    "later": TryLater("busy"),
    "unknown": Unknown("silence"),
}
PEOPLE = 5


class Outbox(RuleBasedStateMachine):
    """`model` says of each message what state it must be in; `calls` what a provider saw."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.model: dict[uuid.UUID, str] = {}
        self.rows: dict[uuid.UUID, Message] = {}
        self.workers: list[dict] = []  # what each holds: token, messages, which of them it marked
        self.calls: dict[uuid.UUID, int] = {}
        self.retries: dict[uuid.UUID, int] = {}  # times a provider said "later"
        self.consented: dict[int, bool] = {}
        self.suppressed: set[int] = set()
        self.hold = ""
        self.attempts: dict[uuid.UUID, int] = {}
        self.due: dict[uuid.UUID, object] = {}

    @initialize()
    def begin(self) -> None:
        for model in (SendAttempt, Message, Suppression, RunHold, ChannelPause, Consent, Profile):
            model.objects.all().delete()
        people = [
            make_profile(email=f"p{n}@shop.example", opted_in=("email",)) for n in range(PEOPLE)
        ]
        self.consented = {person.pk: True for person in people}
        self.people = [person.pk for person in people]

    def address(self, profile_id: int) -> str:
        return f"p{self.people.index(profile_id)}@shop.example"

    @rule(count=st.integers(1, PEOPLE), minutes=st.sampled_from([20, 200, 2_000]))
    def plan(self, count: int, minutes: int) -> None:
        for person in self.people[:count]:
            message = make_message(
                profile=Profile(pk=person), run_id=4, now=self.now,
                expires_at=self.now + timedelta(minutes=minutes),
            )  # fmt: skip
            self.rows[message.id] = message
            self.model[message.id] = "planned"
            self.due[message.id] = self.now
        self._sweep_cancelled()

    @precondition(lambda self: not self.hold and "planned" in self.model.values())
    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        claimed = outbox.claim(channel="email", limit=limit, now=self.now)
        due = {i for i, s in self.model.items() if s == "planned" and self.due[i] <= self.now}
        expired = {i for i in due if self.rows[i].expires_at <= self.now}
        assert {m.id for m in claimed} <= due - expired
        assert len(claimed) == min(limit, len(due - expired))
        for message in claimed:
            self._move(message.id, "leased")
        for gone in expired:  # closed on the way, as far as the claim had to look
            if self._actual(gone) == "expired":
                self._move(gone, "expired")
        if claimed:
            token = claimed[0].lease_token
            self.workers.append({"token": token, "held": claimed, "marked": []})

    @precondition(lambda self: self._with("held"))
    @rule(data=st.data())
    def mark(self, data) -> None:
        worker = data.draw(st.sampled_from(self._with("held")))
        messages, worker["held"] = worker["held"], []
        drafts = [make_draft(m, address=self.address(m.profile_id)) for m in messages]
        mine = {m.id for m in messages if self._holds(m, worker, "leased")}
        marked = marking.mark(
            messages, drafts, token=worker["token"], call_seconds=20, now=self.now
        )
        for message in messages:
            assert (message.id in marked.decisions) == (message.id in mine)
            if message.id not in mine:
                continue
            verdict = self._verdict(message)
            assert marked.allowed(message) == (verdict == "attempting")
            self._move(message.id, verdict)
            if verdict == "attempting":
                self.attempts[message.id] = self.attempts.get(message.id, 0) + 1
                self.calls[message.id] = self.calls.get(message.id, 0) + 1
                worker["marked"].append(message)

    @precondition(lambda self: self._with("marked"))
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def record(self, data, outcome: str) -> None:
        worker = data.draw(st.sampled_from(self._with("marked")))
        message = worker["marked"].pop(0)
        attempt = self.attempts[message.id]
        result = marking.judge(
            OUTCOMES[outcome], attempt=attempt, expires_at=message.expires_at, now=self.now
        )
        fenced = marking.record(
            [message], [result], token=worker["token"], attempts=[attempt],
            started_at=self.now, now=self.now,
        )  # fmt: skip
        before = self.model[message.id]
        assert fenced == (0 if before in {"attempting", "unknown"} else 1)
        if fenced:
            return
        after = str(result.state)
        if before == "unknown" and after in {"planned", "expired"}:
            after = "failed"
        if outcome == "later":
            self.retries[message.id] = self.retries.get(message.id, 0) + 1
        if after == "planned":
            self.due[message.id] = result.not_before
        if not (before == after == "unknown"):
            self._move(message.id, after)

    @precondition(lambda self: len(self.workers) > 3)
    @rule(data=st.data())
    def crash(self, data) -> None:
        self.workers.remove(data.draw(st.sampled_from(self.workers)))

    @precondition(lambda self: self.workers)
    @rule()
    def leases_end_and_are_reaped(self) -> None:
        end_leases()
        outbox.reap(self.now)
        for i, state in list(self.model.items()):
            if state == "leased":
                self._move(i, "planned")
            elif state == "attempting":
                self._move(i, "unknown")
        self._sweep_cancelled()

    @precondition(lambda self: self._with("held"))
    @rule(data=st.data())
    def release(self, data) -> None:
        worker = data.draw(st.sampled_from(self._with("held")))
        held = [m for m in worker["held"] if self._holds(m, worker, "leased")]
        count = outbox.release(worker["held"], token=worker["token"], not_before=self.now)
        assert count == len(held)
        for message in held:
            self._move(message.id, "planned")
            self.due[message.id] = max(self.due[message.id], self.now)
        worker["held"] = []

    @precondition(lambda self: not self.hold and self._with("held"))
    @rule()
    def another_worker_takes_over(self) -> None:
        self.leases_end_and_are_reaped()
        self.claim(4)

    @rule(minutes=st.sampled_from([1, 5, 60]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @precondition(lambda self: not self.hold)
    @rule()
    def pause(self) -> None:
        outbox.hold_run(4, state=RunHold.State.PAUSED)
        self.hold = "paused"

    @precondition(lambda self: self.hold)
    @rule()
    def nobody_claims_from_a_held_run(self) -> None:
        assert outbox.claim(channel="email", limit=10, now=self.now) == []

    @precondition(lambda self: self.hold == "paused")
    @rule()
    def resume(self) -> None:
        outbox.free_run(4)
        self.hold = ""

    @precondition(lambda self: self.hold == "paused")
    @rule()
    def cancel(self) -> None:
        outbox.cancel_run(4, self.now)
        self.hold = "cancelled"
        self._sweep_cancelled()

    @rule(who=st.integers(0, PEOPLE - 1), agrees=st.sampled_from([True, True, False]))
    def change_consent(self, who: int, agrees: bool) -> None:
        profile_id = self.people[who]
        Consent.objects.filter(profile_id=profile_id).update(
            status="opted_in" if agrees else "opted_out", stated_ms=to_millis(self.now)
        )
        self.consented[profile_id] = agrees

    @rule(who=st.integers(0, PEOPLE - 1))
    def suppress(self, who: int) -> None:
        profile_id = self.people[who]
        suppression.suppress(self.address(profile_id), channel="email", reason="bounced")
        self.suppressed.add(profile_id)

    @precondition(lambda self: self.suppressed)
    @rule()
    def lift_suppressions(self) -> None:
        for profile_id in self.suppressed:
            suppression.lift(self.address(profile_id), channel="email")
        self.suppressed.clear()

    @invariant()
    def rows_are_what_the_model_says(self) -> None:
        actual = dict(Message.objects.values_list("id", "state"))
        assert actual == self.model

    @invariant()
    def every_message_is_counted_once(self) -> None:
        assert sum(outbox.count_states(4).values()) == len(self.model)

    @invariant()
    def nobody_is_called_twice_unless_the_provider_said_later(self) -> None:
        for i, calls in self.calls.items():
            assert calls <= 1 + self.retries.get(i, 0)

    def _verdict(self, message: Message) -> str:
        if message.expires_at <= self.now:
            return "expired"
        if self.hold:
            return {"paused": "planned", "cancelled": "cancelled"}[self.hold]
        allowed = self.consented[message.profile_id]
        return (
            "attempting" if allowed and message.profile_id not in self.suppressed else "suppressed"
        )

    def _move(self, message_id: uuid.UUID, to: str) -> None:
        assert to in {str(s) for s in MOVES[Message.State(self.model[message_id])]}
        self.model[message_id] = to

    def _sweep_cancelled(self) -> None:
        if self.hold == "cancelled":
            outbox.reap(self.now)
            for i, state in list(self.model.items()):
                if state in {"planned", "leased"}:
                    self._move(i, "cancelled")

    def _with(self, what: str) -> list[dict]:
        return [worker for worker in self.workers if worker[what]]

    def _holds(self, message: Message, worker: dict, state: str) -> bool:
        return self.model[message.id] == state and self._token(message) == worker["token"]

    def _token(self, message: Message) -> uuid.UUID | None:
        return Message.objects.values_list("lease_token", flat=True).get(id=message.id)

    def _actual(self, message_id: uuid.UUID) -> str:
        return Message.objects.values_list("state", flat=True).get(id=message_id)


class RolledBackOutbox(Outbox):
    """Every sequence in a transaction of its own, undone at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)


def test_no_sequence_breaks_the_outbox():
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        RolledBackOutbox,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # a long sequence says enough; shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
