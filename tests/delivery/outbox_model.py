"""What the send ledger must do, in plain values: no table, and no line of what it judges."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

WEBHOOK_CALLS = 10  # of one message, whatever became of the earlier ones
MOST_CALLS = {"webhook": WEBHOOK_CALLS}  # while the provider says "later"; of the others:
OTHERS_CALLS = 8
# None after so many, when nobody knows what became of an earlier one. Of all others one is made.
CALLS_UNKNOWN = {
    ("webhook", "campaign"): WEBHOOK_CALLS,
    ("push", "transactional"): OTHERS_CALLS,
    ("email", "transactional"): 2,
}
LEAST_PAUSE = {"email": timedelta(minutes=5)}  # after such a call: in which a receipt may come
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
MOST_RETURNS = 3  # fewer than in earnest, so that sequences come so far
CAPPED = timedelta(hours=6)
COUNTED = {"attempting", "accepted", "unknown"}  # what the cap counts
PLACES = {"transactional": 0, "test": 0, "triggered": 1, "campaign": 2}  # which goes first
CLOSE_ADDRESS = {"bounced", "complained", "gone"}  # receipts after which it gets nothing more
CLOSE_TOKEN = {"bounced", "gone"}
SENT_AGAIN = timedelta(days=30)  # by hand: webhooks that are no older


@dataclass
class Row:
    """One message, and what the world knows of it."""

    id: UUID
    person: int
    channel: str
    kind: str
    run: int | None
    planned_at: datetime
    due: datetime
    expires: datetime
    state: str = "planned"
    claim: int = 0  # by which it is leased
    calls: int = 0
    laters: int = 0  # of these; they certainly sent nothing
    away: bool = False  # failed because its provider was away, not because it refused
    calls_before: int = 0  # of `calls`, before somebody had it sent again
    marked: datetime | None = None
    returned: int = 0  # holders that died with it
    noted: bool = False  # a call is written down
    heard: bool = False  # a receipt told of it during the call
    settled: bool = False  # unknown, and its run counts on it

    @property
    def round(self) -> int:
        """Calls that count for how many are still made."""
        return self.calls - self.calls_before

    @property
    def most_calls_unknown(self) -> int:
        return CALLS_UNKNOWN.get((self.channel, self.kind), 0)


@dataclass
class Ledger:
    """`run` is the campaign's that goes on; the campaign's earlier ones were cancelled."""

    agreed: dict[tuple[str, int], bool]  # by channel and person
    run: int
    rows: dict[UUID, Row] = field(default_factory=dict)
    closed: set[tuple[str, int]] = field(default_factory=set)  # suppressed, or without a token
    told: set[tuple[UUID, str]] = field(default_factory=set)
    moves: set[tuple[str, str]] = field(default_factory=set)
    claims: int = 0
    paused: bool = False
    cap: bool = False

    def claim(self, channel: str, *, limit: int, now: datetime) -> set[UUID]:
        """Whose holders died come alone; else what somebody waits for, what an event sent and
        campaigns, run by run. The expired are closed on the way."""
        due = [
            row for row in self._those("planned")
            if row.channel == channel and row.due <= now and not self.is_stopped(row)
        ]  # fmt: skip
        self.claims += 1
        taken = self._take_suspects(due, limit=limit, now=now)
        left = [row for row in due if row.state == "planned"]  # some expired just now
        for run in [] if taken else self._runs(left):
            for row in sorted(run, key=lambda row: row.due):
                if len(taken) < limit and not row.returned:
                    taken += self._take([row], now=now)
        return {row.id for row in taken}

    def _runs(self, due: Iterable[Row]) -> list[list[Row]]:
        runs: dict[int | None, list[Row]] = {}
        for row in due:
            runs.setdefault(row.run, []).append(row)
        return sorted(
            runs.values(), key=lambda run: (PLACES[run[0].kind], min(row.due for row in run))
        )

    def _take_suspects(self, due: Iterable[Row], *, limit: int, now: datetime) -> list[Row]:
        """The least often returned first, in small groups of one run."""
        groups: dict[tuple[int, int | None], list[Row]] = {}
        for row in sorted(due, key=lambda row: (row.returned, row.due)):
            if row.returned:
                groups.setdefault((row.returned, row.run), []).append(row)
        for (returned, _), group in groups.items():
            size = max(1, limit // 8) if returned < MOST_RETURNS - 1 else 1
            if taken := self._take(group[:size], now=now):
                return taken
        return []

    def _take(self, rows: Iterable[Row], *, now: datetime) -> list[Row]:
        taken = []
        for row in rows:
            self._move(row, "expired" if row.expires <= now else "leased")
            if row.state == "leased":
                row.claim = self.claims
                taken.append(row)
        return taken

    def holds(self, claim: int, message_id: UUID) -> bool:
        row = self.rows[message_id]
        return row.state == "leased" and row.claim == claim

    def mark(self, message_id: UUID, *, now: datetime) -> bool:
        """Whether it may be called."""
        row = self.rows[message_id]
        self._move(row, self._verdict(row, now))
        if row.state == "attempting":
            row.calls, row.marked, row.heard = row.calls + 1, now, False
        return row.state == "attempting"

    def _verdict(self, row: Row, now: datetime) -> str:
        if row.expires <= now:
            return "expired"
        if self.is_stopped(row):
            return "planned"
        asked_for = row.kind == "transactional" and row.channel != "sms"  # STOP ends all texts
        agreed = asked_for or self.agreed[row.channel, row.person]
        forbidden = not agreed or self.is_closed(row) or self._is_capped(row, now)
        return "suppressed" if forbidden else "attempting"

    def is_closed(self, row: Row) -> bool:
        return (row.channel, row.person) in self.closed

    def _is_capped(self, row: Row, now: datetime) -> bool:
        """Mails of campaigns: of one run in six hours; those of one run are one send."""
        return self.cap and _counts(row) and any(
            one.state in COUNTED and one.person == row.person and one.run != row.run
            and _counts(one) and one.marked is not None and one.marked >= now - CAPPED
            for one in self.rows.values()
        )  # fmt: skip

    def answer(self, message_id: UUID, outcome: str, *, call: int, now: datetime) -> bool:
        """Whether it counts: not if the message was taken back, or another call was made."""
        row = self.rows[message_id]
        row.noted = True
        if row.calls != call or row.state not in {"attempting", "unknown"}:
            return False
        row.laters += outcome == "later"
        after, due = _what_follows(row, outcome, now)
        if row.state == "unknown" and (after == "expired" or (after == "planned" and row.settled)):
            after = "failed"  # it was called, or is counted
        if row.heard and outcome != "refused":
            after = "accepted"
        if after == "planned":
            row.due = due
        row.away = after == "failed" and outcome != "refused"
        if row.state != after:
            self._move(row, after)
        return True

    def lose(self, message_id: UUID, *, now: datetime) -> None:
        """Its lease ended."""
        row = self.rows[message_id]
        often = row.returned + 1 >= MOST_RETURNS
        if row.state == "leased":
            row.returned += 1
            self._move(row, "failed" if often else "planned")
            return
        row.noted = True
        until = now + LEAST_PAUSE.get(row.channel, FIRST_PAUSE)
        again = row.round < row.most_calls_unknown and not often and until < row.expires
        if again and not row.heard:
            row.returned, row.due = row.returned + 1, until
            self._move(row, "planned")
        else:
            self._move(row, "accepted" if row.heard else "unknown")

    def sweep(self, now: datetime) -> None:
        for row in self._those("planned", "leased"):
            if self._is_cancelled(row):
                self._move(row, "cancelled")
            elif row.state == "planned" and row.expires <= now:
                self._move(row, "expired")

    def release(self, message_id: UUID) -> None:
        self._move(self.rows[message_id], "planned")

    def settle(self) -> None:
        for row in self._those("unknown"):
            row.settled = row.settled or row.run == self.run

    def hear(self, message_id: UUID, kind: str, *, address: bool) -> str:
        """A receipt, with the address or without; what it is: new, known or unknown.

        Who speaks of a message took it, if it was called: it is never called again.
        """
        row = self.rows[message_id]
        found = row.channel != "push" or row.noted  # by the calls that are written down
        if (message_id, kind) in self.told:
            return "known"
        if kind == "opted_out" and (found or address):
            self.agreed[row.channel, row.person] = False
        closing = CLOSE_TOKEN if row.channel == "push" and found else CLOSE_ADDRESS
        if kind in closing and (row.calls * found or address):
            self.closed.add((row.channel, row.person))
        if not found:
            return "unknown"
        self.told.add((message_id, kind))
        if row.state == "attempting":
            row.heard = True
        elif row.calls and row.state in {"unknown", "planned", "leased"}:
            self._move(row, "accepted")
        return "new"

    def send_again(self, now: datetime) -> list[Row]:
        """Webhooks that their receivers did not take: a new round of calls."""
        found = [
            row for row in self._those("failed", "unknown", "expired")
            if row.channel == "webhook" and row.planned_at >= now - SENT_AGAIN
            and (row.state != "failed" or row.away) and (row.state != "expired" or row.round)
            and not self._is_cancelled(row)
        ]  # fmt: skip
        for row in found:
            self._move(row, "planned")
            row.calls_before, row.laters, row.returned = row.calls, 0, 0
            row.settled = row.away = False
        return found

    def _those(self, *states: str) -> list[Row]:
        return [row for row in self.rows.values() if row.state in states]

    def _is_cancelled(self, row: Row) -> bool:
        return row.kind == "campaign" and row.run != self.run

    def is_stopped(self, row: Row) -> bool:
        return self._is_cancelled(row) or (self.paused and row.run == self.run)

    def _move(self, row: Row, to: str) -> None:
        self.moves.add((row.state, to))
        row.state = to


def _counts(row: Row) -> bool:
    return (row.channel, row.kind) == ("email", "campaign")


def _what_follows(row: Row, outcome: str, now: datetime) -> tuple[str, datetime]:
    """The state after an answer, and when the message is due again if it is planned."""
    pause = min(FIRST_PAUSE * 2 ** (row.round - 1), LONGEST_PAUSE)
    if outcome == "unknown":
        until = now + max(pause, LEAST_PAUSE.get(row.channel, pause))
        again = row.round < row.most_calls_unknown and until < row.expires
        return "planned" if again else "unknown", until
    if outcome == "later":
        until = now + pause
        if row.round >= MOST_CALLS.get(row.channel, OTHERS_CALLS):
            return "failed", until
        return "expired" if until >= row.expires else "planned", until
    return {"accepted": "accepted", "refused": "failed"}[outcome], now
