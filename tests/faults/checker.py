"""What must be true after every round: the providers' ledgers and the rows are compared.

I-1 at most one entry of the ledger per message; I-2 an acknowledged event is stored exactly once;
I-3 every planned message ends in a final state by the deadline; I-4 the sum holds; I-5 no call for
somebody who had withdrawn; I-7 as many unknown as could be in flight where something was killed.
I-6, that a profile equals a replay of its events, is F-19.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.errors import Wrong
from tests.faults.harness import PEOPLE, TIMEOUT_SECONDS, wait_until
from tests.faults.load import GOOD, KNOWN, Load

DEADLINE_SECONDS = 150.0
CONNECTION_ERRORS = {
    "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected", "TimeoutError",
    "BrokenPipeError", "IncompleteRead", "BadStatusLine",
}  # fmt: skip
FINAL = ("accepted", "failed", "suppressed", "expired", "cancelled", "unknown")


@dataclass
class Found:
    """The figures of one round or, added up, of all."""

    acked: int = 0
    stored: int = 0
    planned: int = 0
    accepted: int = 0
    lost: int = 0
    dup: int = 0
    unknown: int = 0
    unknown_bound: int = 0
    injections: int = 0
    recover_s_max: float = 0.0
    broke_off: bool = False  # it was not played to its end
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    more: dict[str, float] = field(default_factory=dict)  # worst values of one fault's own

    def add(self, other: "Found") -> None:
        for name in ("acked", "stored", "planned", "accepted", "lost", "dup", "unknown",
                     "unknown_bound", "injections"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.recover_s_max = max(self.recover_s_max, other.recover_s_max)
        self.states += other.states
        self.wrong += other.wrong
        for name, value in other.more.items():
            self.more[name] = max(self.more.get(name, value), value)

    def expect(self, condition: object, sentence: str) -> None:
        if not condition:
            self.wrong.append(sentence)

    def note(self, name: str, value: float) -> None:
        value = round(value, 2)
        self.more[name] = max(self.more.get(name, value), value)


def check(load: Load, *, recover_seconds: float = 90.0) -> Found:
    """Wait until everything is final, then count. `recover_seconds`: from the last injection."""
    found = Found(injections=len(load.injected), unknown_bound=load.unknown_bound)
    over = True
    try:
        wait_until(load.is_over, seconds=DEADLINE_SECONDS, what="all runs are over")
    except Wrong as exc:
        over = False
        found.wrong.append(str(exc))
    if load.injected:
        found.recover_s_max = round(time.monotonic() - load.injected[-1], 1)
        found.expect(
            over and found.recover_s_max <= recover_seconds,
            f"{found.recover_s_max} s from the last injection to the end",
        )
    check_messages(load, found)
    check_events(load, found)
    check_withdrawn(load, found)
    return found


def check_messages(load: Load, found: Found) -> None:
    rows = load.house.ask(
        "SELECT key::text, state, run_id FROM delivery_message WHERE run_id = ANY(%s)", load.runs
    )
    taken = Counter(
        line["key"] for provider in load.house.providers.values() for line in provider.accepted()
    )
    planned = dict(load.house.ask(
        "SELECT id, planned FROM campaigns_run WHERE id = ANY(%s)", load.runs
    ))  # fmt: skip
    found.planned = len(rows)
    found.states = Counter(state for _, state, _ in rows)
    found.accepted = found.states["accepted"]
    found.unknown = found.states["unknown"]
    found.dup = sum(taken[key] - 1 for key, _, _ in rows if taken[key] > 1)
    silent = sum(1 for key, state, _ in rows if state == "accepted" and not taken[key])
    hidden = sum(
        1 for key, state, _ in rows if taken[key] and state not in {"accepted", "unknown"}
    )
    unfinished = sum(count for state, count in found.states.items() if state not in FINAL)
    missing = sum(max(0, PEOPLE - planned[run_id]) for run_id in load.runs)
    found.lost += silent + unfinished + missing
    found.expect(not silent, f"{silent} accepted messages are in no ledger")
    found.expect(not hidden, f"{hidden} messages that went out are neither accepted nor unknown")
    found.expect(not unfinished, f"{unfinished} messages are in no final state: {found.states}")
    found.expect(not missing, f"{missing} people of the audience have no message")
    found.expect(found.dup == 0, f"{found.dup} messages went out twice")
    found.expect(
        Counter(run_id for _, _, run_id in rows) == Counter(planned),
        f"the sums of the runs are {planned}, their rows another number",
    )
    found.expect(
        found.unknown <= found.unknown_bound,
        f"{found.unknown} unknown, at most {found.unknown_bound} can have been in flight",
    )


def check_events(load: Load, found: Found) -> None:
    acked = [message_id for sender in load.senders for message_id in sender.acked]
    if not load.senders:
        return
    stored: Counter[str] = Counter()

    def are_stored() -> bool:
        stored.clear()
        stored.update(dict(load.house.ask(
            "SELECT message_id, count(*) FROM profiles_event WHERE message_id = ANY(%s)"
            " GROUP BY message_id", acked,
        )))  # fmt: skip
        return len(stored) == len(acked)

    try:
        wait_until(are_stored, seconds=60, what="every acknowledged event is stored")
    except Wrong as exc:
        found.wrong.append(f"{exc}: {len(acked) - len(stored)} are missing")
    found.acked, found.stored = len(acked), len(stored)
    found.lost += len(acked) - len(stored)
    twice = sum(count - 1 for count in stored.values())
    found.dup += twice
    found.expect(twice == 0, f"{twice} events are stored twice")
    answers = sum((sender.answers for sender in load.senders), Counter())
    odd = {answer: n for answer, n in answers.items()
           if answer not in GOOD | KNOWN | CONNECTION_ERRORS}  # fmt: skip
    found.expect(not odd, f"the door for events answered {odd}")
    found.note("longest_ack_gap_s", max(sender.longest_gap for sender in load.senders))


def check_withdrawn(load: Load, found: Found) -> None:
    """What was marked before the commit may still be under way for as long as a call takes."""
    late = [
        call
        for provider in load.house.providers.values()
        for call in provider.calls()
        if load.started_at <= call["at"]
        and call["at"] > load.withdrawn.get(call["to"], float("inf")) + TIMEOUT_SECONDS
    ]
    found.expect(not late, f"{len(late)} calls for somebody who had withdrawn")
