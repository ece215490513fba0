"""The outbox against a small model: no sequence of steps breaks a rule or calls twice."""

import os
import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from delivery import claiming, marking, outbox, policy, reaping, suppression
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.models import (
    Cap,
    ChannelPause,
    Message,
    RunHold,
    SendAttempt,
    Suppression,
)
from delivery.outbox import MOVES
from delivery.results import judge
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
PEOPLE = 3
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
]
MOST_RETURNS = 3  # fewer than in earnest, so that sequences come so far
COUNTED = {"attempting", "accepted", "unknown"}  # what a cap counts
# `ENGAGE_SEQUENCES=10000 pytest tests/delivery/test_outbox_machine.py` takes about half an hour.
SEQUENCES = int(os.environ.get("ENGAGE_SEQUENCES", "60"))


class Outbox(RuleBasedStateMachine):
    """`model` says of each message what state it must be in; `calls` what a provider saw."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.run = 4
        self.model: dict[uuid.UUID, str] = {}
        self.rows: dict[uuid.UUID, Message] = {}
        self.workers: list[dict] = []  # what each holds: token, messages, which of them it marked
        self.calls: dict[uuid.UUID, int] = {}
        self.retries: dict[uuid.UUID, int] = {}  # times a provider said "later"
        self.consented: dict[int, bool] = {}
        self.suppressed: set[int] = set()
        self.hold = ""
        self.cap = False
        self.moments = 0
        self.marked: dict[uuid.UUID, object] = {}  # when it was last let out
        self.attempts: dict[uuid.UUID, int] = {}
        self.due: dict[uuid.UUID, object] = {}
        self.returned: dict[uuid.UUID, int] = {}  # holders that died with it
        self.settled: set[uuid.UUID] = set()  # unknown, and a run counts on it

    @initialize()
    def begin(self) -> None:
        for model in (
            Cap,
            SendAttempt,
            Message,
            Suppression,
            RunHold,
            ChannelPause,
            Consent,
            Profile,
        ):
            model.objects.all().delete()
        people = [
            make_profile(email=f"p{n}@shop.example", opted_in=("email",)) for n in range(PEOPLE)
        ]
        self.consented = {person.pk: True for person in people}
        self.people = [person.pk for person in people]

    def address(self, profile_id: int) -> str:
        return f"p{self.people.index(profile_id)}@shop.example"

    @rule(data=st.data())
    def something_happens(self, data) -> None:
        """One rule, because Hypothesis leaves out half of the rules of a machine in each run."""
        parts = [self.a_worker_does_its_next_step] * 6 + [self.the_world_goes_on] * 2 + [self.plan]
        data.draw(st.sampled_from(parts))(data)

    def plan(self, data) -> None:
        minutes = data.draw(st.sampled_from([20, 200, 2_000]))
        for person in self.people:
            due = self.now - timedelta(seconds=1) + self.moment()
            message = make_message(
                profile=Profile(pk=person), run_id=self.run, now=self.now, not_before=due,
                expires_at=self.now + timedelta(minutes=minutes),
            )  # fmt: skip
            self.rows[message.id] = message
            self.model[message.id] = "planned"
            self.due[message.id] = due
            self.returned[message.id] = 0

    def moment(self) -> timedelta:
        """Another one each time: what is due first must not depend on how rows lie on the disk."""
        self.moments += 1
        return timedelta(microseconds=self.moments)

    def a_worker_does_its_next_step(self, data) -> None:
        """Whatever is possible now, the later steps more often."""
        can_claim = not self.hold and "planned" in self.model.values()
        steps = ["claim", "claim", "claim_and_die"] * can_claim
        steps += ["mark"] * bool(self._with("held")) * 3
        steps += ["record"] * bool(self._with("marked")) * 4
        steps += ["release"] * bool(self._with("held"))
        steps += ["crash"] * (len(self.workers) > 3)
        if steps:
            getattr(self, data.draw(st.sampled_from(steps)))(data)

    def claim(self, data) -> None:
        limit = data.draw(st.sampled_from([1, 2, 3, 4, 40]))
        claimed = claiming.claim(channel="email", limit=limit, now=self.now)
        if claimed:
            token = claimed[0].lease_token
            self.workers.append({"token": token, "held": claimed, "marked": []})
        claimed.sort(key=lambda message: message.not_before)
        due = {
            i
            for i, state in self.model.items()
            if state == "planned" and self.due[i] <= self.now and self.rows[i].run_id == self.run
        }
        expired = {i for i in due if self.rows[i].expires_at <= self.now}
        if suspects := self._next_suspects(due, expired, limit=limit):
            assert {m.id for m in claimed} == suspects
            for message in claimed:
                self._move(message.id, "leased")
            return
        due -= {i for i in due if self.returned[i]}
        expired &= due
        assert {m.id for m in claimed} <= due - expired
        assert len(claimed) == min(limit, len(due - expired))
        for message in claimed:
            self._move(message.id, "leased")
        for gone in expired:  # closed on the way, as far as the claim had to look
            if self._actual(gone) == "expired":
                self._move(gone, "expired")

    def claim_and_die(self, data) -> None:
        self.claim(data)
        self.leases_end_and_are_reaped(0)

    def _next_suspects(self, due: set, expired: set, *, limit: int) -> set[uuid.UUID]:
        """Whose holders died: the least often first, in small groups; the expired are closed."""
        for returned in range(1, MOST_RETURNS):
            size = max(1, limit // 8) if returned < MOST_RETURNS - 1 else 1
            suspects = (i for i in due if self.returned[i] == returned)
            group = set(sorted(suspects, key=self.due.__getitem__)[:size])
            for gone in group & expired:
                self._move(gone, "expired")
            if group - expired:
                return group - expired
        return set()

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
                self.marked[message.id] = self.now
                self.attempts[message.id] = self.attempts.get(message.id, 0) + 1
                self.calls[message.id] = self.calls.get(message.id, 0) + 1
                worker["marked"].append(message)

    def record(self, data) -> None:
        outcome = data.draw(st.sampled_from(sorted(OUTCOMES)))
        worker = data.draw(st.sampled_from(self._with("marked")))
        message = worker["marked"].pop(0)
        attempt = self.attempts[message.id]
        now = self.now + self.moment()
        result = judge(message, OUTCOMES[outcome], attempt=attempt, now=now)
        fenced = marking.record(
            [message], [result], token=worker["token"], attempts=[attempt],
            started_at=self.now, now=self.now,
        )  # fmt: skip
        before = self.model[message.id]
        assert fenced == (0 if before in {"attempting", "unknown"} else 1)
        if fenced:
            return
        after = str(result.state)
        settled = message.id in self.settled
        if before == "unknown" and (after == "expired" or (after == "planned" and settled)):
            after = "failed"
        if outcome == "later":
            self.retries[message.id] = self.retries.get(message.id, 0) + 1
        if after == "planned":
            self.due[message.id] = result.not_before
        if not (before == after == "unknown"):
            self._move(message.id, after)

    def crash(self, data) -> None:
        self.workers.remove(data.draw(st.sampled_from(self.workers)))

    def leases_end_and_are_reaped(self, person: int) -> None:
        end_leases()
        reaping.reap(self.now)
        for i, state in list(self.model.items()):
            if state == "leased":
                self.returned[i] += 1
                self._move(i, "planned" if self.returned[i] < MOST_RETURNS else "failed")
            elif state == "attempting":
                self._move(i, "unknown")
            if self.model[i] == "planned" and self.rows[i].run_id != self.run:
                self._move(i, "cancelled")  # given back into a run that was cancelled meanwhile
            elif self.model[i] == "planned" and self.rows[i].expires_at <= self.now:
                self._move(i, "expired")

    def release(self, data) -> None:
        worker = data.draw(st.sampled_from(self._with("held")))
        held = [m for m in worker["held"] if self._holds(m, worker, "leased")]
        before = NOON - timedelta(days=1)  # so each keeps its own moment
        count = outbox.release(worker["held"], token=worker["token"], not_before=before)
        assert count == len(held)
        for message in held:
            self._move(message.id, "planned")
        worker["held"] = []

    def the_world_goes_on(self, data) -> None:
        getattr(self, data.draw(st.sampled_from(WORLD)))(data.draw(st.sampled_from(self.people)))

    def time_passes(self, person: int) -> None:
        self.now += timedelta(minutes=5)

    def night_passes(self, person: int) -> None:
        self.now += timedelta(hours=10)

    def person_changes_their_mind(self, person: int) -> None:
        agrees = not self.consented[person]
        Consent.objects.filter(profile_id=person).update(
            status="opted_in" if agrees else "opted_out", stated_ms=to_millis(self.now)
        )
        self.consented[person] = agrees

    def address_bounces_or_is_lifted(self, person: int) -> None:
        address = self.address(person)
        if person in self.suppressed:
            suppression.lift(address, channel="email")
        else:
            suppression.suppress(address, channel="email", reason="bounced")
        self.suppressed ^= {person}

    def run_is_paused_or_resumed(self, person: int) -> None:
        if self.hold:
            outbox.free_run(self.run)
            self.hold = ""
        else:
            outbox.hold_run(self.run, state=RunHold.State.PAUSED)
            self.hold = "paused"
            assert claiming.claim(channel="email", limit=10, now=self.now) == []

    def a_cap_begins_or_ends(self, person: int) -> None:
        """One run in the last six hours; messages of one run are one send."""
        if self.cap:
            Cap.objects.all().delete()
        else:
            Cap.objects.create(name="one in six hours", most=1, period="hours", hours=6)
        self.cap = not self.cap

    def what_is_unknown_is_settled(self, person: int) -> None:
        outbox.settle_unknown(self.run)
        self.settled |= {
            i for i, state in self.model.items()
            if state == "unknown" and self.rows[i].run_id == self.run
        }  # fmt: skip

    def run_is_cancelled_and_another_begins(self, person: int) -> None:
        outbox.cancel_run(self.run, self.now)
        reaping.reap(self.now)
        for i, state in list(self.model.items()):
            if state in {"planned", "leased"}:
                self._move(i, "cancelled")
        self.run, self.hold = self.run + 1, ""

    @invariant()
    def rows_are_what_the_model_says(self) -> None:
        actual = dict(Message.objects.values_list("id", "state"))
        assert actual == self.model

    @invariant()
    def every_message_is_counted_once(self) -> None:
        runs = range(4, self.run + 1)
        assert sum(sum(outbox.count_states(r).values()) for r in runs) == len(self.model)

    @invariant()
    def nobody_is_called_twice_unless_the_provider_said_later(self) -> None:
        for i, calls in self.calls.items():
            assert calls <= 1 + self.retries.get(i, 0)

    def _verdict(self, message: Message) -> str:
        if message.expires_at <= self.now:
            return "expired"
        if self.hold:
            return "planned"
        allowed = self.consented[message.profile_id]
        allowed = allowed and message.profile_id not in self.suppressed
        return "attempting" if allowed and not self._is_capped(message) else "suppressed"

    def _is_capped(self, message: Message) -> bool:
        since = self.now - timedelta(hours=6)
        return self.cap and any(
            self.model[i] in COUNTED and self.marked[i] >= since
            for i, row in self.rows.items()
            if row.profile_id == message.profile_id
            and row.run_id != message.run_id
            and i in self.marked
        )

    def _move(self, message_id: uuid.UUID, to: str) -> None:
        assert to in {str(s) for s in MOVES[Message.State(self.model[message_id])]}
        self.model[message_id] = to

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
