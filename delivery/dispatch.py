"""The way out of the outbox: claim → compose → mark → send → record, in micro-batches."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import DatabaseError, Error, connection, transaction
from redis import RedisError

from delivery import claiming, endpoints, marking, outbox, policy, rates, suppression
from delivery.channels.base import Channel
from delivery.channels.registry import find_problem, get_channel
from delivery.drafts import OPTED_OUT, Accepted, Draft, Outcome, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable
from delivery.models import Message, Suppression
from delivery.policy import Drop
from delivery.provider_rates import Tokens, list_providers
from delivery.results import judge
from engage.lib import failpoints
from engage.lib.errors import Unavailable
from engage.profiles import devices

logger = logging.getLogger(__name__)

# Everything about the person is looked up by the composer, in the order of the messages.
Composer = Callable[[Sequence[Message]], Sequence[Draft | Drop]]
LEASE_MARGIN_SECONDS = 5.0  # between the end of the longest call and the end of the lease
LONGEST_CHUNK_SECONDS = 240.0  # a task is interrupted at 270: in a call, its answers were lost
COMPOSE_FAILED = "compose_failed"
# By channel, what this process can compose within a lease, where that took too long for a call to
# follow: the same chunk would be given back for ever.
fits: dict[str, int] = {}


@dataclass(slots=True)
class DispatchReport:
    """What became of one chunk. `states` counts messages by the state they were left in."""

    claimed: int = 0
    more: bool = False  # the claim took as many as it could: others may be due
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    fenced: int = 0  # answers that came after their lease
    problem: str = ""  # why the chunk ended early


@dataclass(slots=True)
class Clock:
    """The caller's moment, moved on by the monotonic clock: nobody can set it back."""

    start: datetime
    started: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=time.monotonic() - self.started)


def dispatch(
    *, channel: str, compose: Composer, limit: int, now: datetime, run_id: int | None = None
) -> DispatchReport:
    """Send what is due, at most `limit` messages; must not run inside a transaction.

    Safe to run twice and by many at once: each message belongs to one claim, and only the mark
    lets it out. A chunk ends when its lease nears the end; what is left goes back.
    """
    report = DispatchReport(problem=find_problem(channel))
    if report.problem:  # nothing is claimed that could not be sent
        return report
    clock = Clock(now)
    limit = min(limit, fits.get(channel, limit))
    adapter = get_channel(channel)
    granted = rates.grant(channel, limit=limit, now=now, providers=list_providers(adapter))
    with transaction.atomic(durable=True):
        messages = claiming.claim(
            channel=channel, limit=limit, now=now, run_id=run_id, most=granted.most
        )
    report.claimed = len(messages)
    report.more = len(messages) >= limit or any(message.returned for message in messages)
    failpoints.reach("C8")
    tokens = Tokens(granted, messages)
    chunk = Chunk(adapter, channel, messages, tokens, clock, report) if messages else None
    try:
        rates.give_back(granted, used=Counter(message.run_id for message in messages))
        if chunk is not None:
            chunk.send(compose)
            _learn(chunk, limit=limit)
        tokens.give_back()
    except SoftTimeLimitExceeded:
        if chunk is not None:  # or the next claim takes the same ones, for as long
            chunk.too_late = True
            _learn(chunk, limit=limit)
        raise
    finally:
        if chunk is not None:
            chunk.give_back()
    return report


def _learn(chunk: "Chunk", *, limit: int) -> None:
    """Half as many next time where no call was possible any more; more again when it goes fast."""
    channel, claimed = chunk.channel, chunk.report.claimed
    spent = (chunk.clock.now() - chunk.clock.start).total_seconds()
    if chunk.too_late:
        fits[channel] = max(1, claimed // 2)
        logger.warning(
            "composing takes too long for a lease",
            extra={"channel": channel, "messages": claimed, "seconds": round(spent)},
        )
    elif channel in fits and claimed >= limit and 4 * spent < settings.SEND_LEASE_SECONDS:
        fits[channel] = 2 * limit


class Chunk:
    """The messages of one claim on their way."""

    def __init__(
        self,
        adapter: Channel,
        channel: str,
        messages: list[Message],
        tokens: Tokens,
        clock: Clock,
        report: DispatchReport,
    ) -> None:
        token = messages[0].lease_token
        assert token is not None  # noqa: S101 - the claim gave it
        self.token: UUID = token
        self.adapter = adapter
        self.channel = channel
        self.tokens = tokens
        self.open = {message.id: message for message in messages}  # leased, not yet marked
        self.clock = clock
        self.report = report
        self.too_late = False  # for the first call, when all was composed
        self.again_at = clock.start  # when what is given back may be claimed

    def send(self, compose: Composer) -> None:
        drafted = self._keep_rates(self._compose(compose, list(self.open.values())))
        size = self.adapter.batch_size
        self.too_late = bool(drafted) and not self._has_time()
        for first in range(0, len(drafted), size):
            if not self._send_batch(drafted[first : first + size]):
                return

    def give_back(self) -> None:
        """What was claimed and not marked is planned again, now instead of when the lease ends."""
        if self.open:
            with transaction.atomic(durable=True):
                count = outbox.release(
                    self.open.values(), token=self.token, not_before=self.again_at
                )
            self.report.states[Message.State.PLANNED] += count

    def _compose(self, compose: Composer, messages: list[Message]) -> list[tuple[Message, Draft]]:
        """Drafts of the messages; those that get none are closed with the reason."""
        drafted: list[tuple[Message, Draft]] = []
        dropped: list[tuple[Message, Drop]] = []
        failed: list[tuple[Message, Drop]] = []
        for message, draft in self._compose_all(compose, messages):
            if isinstance(draft, Draft):
                drafted.append((message, draft))
            else:
                closing = failed if draft.reason == COMPOSE_FAILED else dropped
                closing.append((message, draft))
        self._close(dropped, Message.State.SUPPRESSED)
        self._close(failed, Message.State.FAILED)
        return drafted

    def _compose_all(
        self, compose: Composer, messages: list[Message]
    ) -> list[tuple[Message, Draft | Drop]]:
        """One message that cannot be composed must not hold up its neighbours."""
        try:
            return list(zip(messages, compose(messages), strict=True))
        except (DatabaseError, RedisError, Unavailable, OSError):
            raise  # a store is away: the messages go back
        except SoftTimeLimitExceeded:
            raise  # the task's time is over, and that is no fault of a message: they go back too
        except Exception:
            if len(messages) == 1:
                logger.exception("message not composed", extra={"message_id": str(messages[0].id)})
                return [(messages[0], Drop(COMPOSE_FAILED))]
            middle = len(messages) // 2
            return [
                *self._compose_all(compose, messages[:middle]),
                *self._compose_all(compose, messages[middle:]),
            ]

    def _close(self, closing: list[tuple[Message, Drop]], state: Message.State) -> None:
        if not closing:
            return
        messages, drops = [m for m, _ in closing], [drop for _, drop in closing]
        with transaction.atomic(durable=True):
            marking.drop(messages, drops, token=self.token, now=self.clock.now(), state=state)
        self._leave(messages)
        self.report.states[state] += len(messages)
        self.report.reasons.update(drop.reason for drop in drops)

    def _keep_rates(self, drafted: list[tuple[Message, Draft]]) -> list[tuple[Message, Draft]]:
        """Those that their providers may get now; the others are due when theirs may."""
        late = self.tokens.take(self.adapter, drafted)
        if not late:
            return drafted
        now = self.clock.now()
        messages = [m for m, _ in drafted if m.id in late]
        due = [(m, now + timedelta(seconds=late[m.id])) for m in messages]
        with transaction.atomic(durable=True):
            count = outbox.release_each(due, token=self.token)
        self._leave(messages)
        self.report.states[Message.State.PLANNED] += count
        self.report.more = True  # those behind them may be of another provider
        return [(m, draft) for m, draft in drafted if m.id not in late]

    def _send_batch(self, batch: list[tuple[Message, Draft]]) -> bool:
        """Mark, call, record; whether the next batch may follow."""
        marked = self._mark(batch)
        if marked is None:
            return False
        allowed = [(m, draft) for m, draft in batch if marked.allowed(m)]
        if not allowed:
            return True
        self.tokens.use(m for m, _ in allowed)
        started_at = self.clock.now()
        failpoints.reach("C9")
        outcomes = self._call([draft for _, draft in allowed])
        failpoints.reach("C11")
        self._record(allowed, outcomes, marked=marked, started_at=started_at)
        return self._may_go_on(outcomes)

    def _mark(self, batch: list[tuple[Message, Draft]]) -> marking.Marked | None:
        """None when too little of the lease, or of the time of the task, is left for a call."""
        if not self._has_time():
            self.report.problem = self.report.problem or "the lease is nearly over"
            return None
        messages, drafts = [m for m, _ in batch], [d for _, d in batch]
        marked = marking.mark(
            messages,
            drafts,
            token=self.token,
            call_seconds=_call_seconds(),
            now=self.clock.now(),
        )
        self._leave(messages)
        for decision in marked.decisions.values():
            if isinstance(decision, policy.Drop):
                self.report.states[marking.state_of(decision)] += 1
                self.report.reasons[decision.reason] += 1
            elif isinstance(decision, policy.Defer | policy.Elsewhere):
                self.report.states[Message.State.PLANNED] += 1
        return marked

    def _has_time(self) -> bool:
        spent = (self.clock.now() - self.clock.start).total_seconds()
        longest = min(settings.SEND_LEASE_SECONDS, LONGEST_CHUNK_SECONDS)
        return bool(spent + _call_seconds() < longest)

    def _call(self, drafts: list[Draft]) -> list[Outcome]:
        """The provider's answers. After an error nobody foresaw, what was sent is not known."""
        try:
            outcomes = self.adapter.send(drafts)
        except ChannelUnavailable as exc:
            self.report.problem = exc.message
            return [TryLater("unavailable", exc.retry_after_seconds, True)] * len(drafts)
        except Exception:
            logger.exception("channel broke", extra={"channel": self.channel})
            return [Unknown("channel_broke")] * len(drafts)
        if len(outcomes) != len(drafts):
            logger.error("channel answered out of step", extra={"channel": self.channel})
            return [Unknown("channel_broke")] * len(drafts)
        return outcomes

    def _record(
        self,
        allowed: list[tuple[Message, Draft]],
        outcomes: list[Outcome],
        *,
        marked: marking.Marked,
        started_at: datetime,
    ) -> None:
        now = self.clock.now()
        attempts = [marked.attempt(message) for message, _ in allowed]
        results = [
            judge(message, outcome, attempt=attempt, now=now)
            for (message, _), outcome, attempt in zip(allowed, outcomes, attempts, strict=True)
        ]
        write = partial(
            marking.record,
            [message for message, _ in allowed],
            results,
            token=self.token,
            attempts=attempts,
            started_at=started_at,
            now=now,
        )
        gone = [
            (message, draft.address, outcome)
            for (message, draft), outcome in zip(allowed, outcomes, strict=True)
            if isinstance(outcome, Refused) and outcome.gone
        ]
        away = {
            draft.address: message
            for (message, draft), result in zip(allowed, results, strict=True)
            if result.given_up and message.channel == "webhook"
        }
        self.report.fenced += write_down(write, gone, away, now=now)
        self.report.states.update(str(result.state) for result in results)
        self.report.reasons.update(result.reason for result in results if result.reason)

    def _may_go_on(self, outcomes: list[Outcome]) -> bool:
        """A provider that is away and took nobody gets the pause it asked for.

        So does one that let all its time pass: the next groups would wait as long, and be unknown.
        """
        later = [o for o in outcomes if isinstance(o, TryLater | Unknown) and o.everybody]
        if not later or any(isinstance(outcome, Accepted) for outcome in outcomes):
            return True
        asked = [o.retry_after_seconds or 0.0 for o in later if isinstance(o, TryLater)]
        pause = policy.pause_seconds(1, retry_after_seconds=max(asked, default=0.0))
        until = self.clock.now() + timedelta(seconds=pause)
        outbox.pause_channel(self.channel, until=until, reason=later[0].reason)
        logger.warning(
            "channel pauses",
            extra={"channel": self.channel, "reason": later[0].reason, "seconds": pause},
        )
        self.report.problem = self.report.problem or later[0].reason
        return False

    def _leave(self, messages: list[Message]) -> None:
        for message in messages:
            self.open.pop(message.id, None)


def _call_seconds() -> float:
    """What must be left of a lease for a call to begin."""
    return float(settings.PROVIDER_TIMEOUT_SECONDS) + LEASE_MARGIN_SECONDS


Gone = tuple[Message, str, Refused]  # with the address that it went to
Away = Mapping[str, Message]  # by the receiver, one that it did not take to the last call


def write_down(
    record: Callable[[], int], gone: Sequence[Gone], away: Away, *, now: datetime
) -> int:
    """Record the answers and retire the addresses that are no more, together.

    Twice if need be: an answer in hand must not be lost to a deadlock, to a connection that broke
    or to one that lost its plans (see `Statement`). Safe to run twice, also when the first time
    was committed after all: it is fenced then.
    """
    try:
        return _write_down(record, gone, away, now=now)
    except Error as exc:
        logger.warning("answers not recorded, once more", extra={"error": type(exc).__name__})
        connection.close_if_unusable_or_obsolete()
        return _write_down(record, gone, away, now=now)


def _write_down(
    record: Callable[[], int], gone: Sequence[Gone], away: Away, *, now: datetime
) -> int:
    if not gone and not away:
        return record()
    with transaction.atomic(durable=True):
        fenced = record()
        for message, address, refused in gone:
            retire(message, address, refused, now=now)
        for url, message in away.items():
            endpoints.disable_if_away(message, url, now=now)
    return fenced


def retire(message: Message, address: str, refused: Refused, *, now: datetime) -> None:
    """The provider says that the address is no more, or that its owner wants nothing more."""
    if message.channel in policy.TO_DEVICES:
        devices.mark_gone(message.profile_id, message.address_id, address, gone_ms=refused.gone_ms)
    elif message.channel == "webhook":
        endpoints.disable_url(address, reason=endpoints.GONE, now=now)
    elif message.channel != "inbox":  # whose address is the person, who was erased
        own_wish = refused.reason == OPTED_OUT  # which a later opt-in takes back
        closed = Suppression.Reason.UNSUBSCRIBED if own_wish else Suppression.Reason.GONE
        suppression.suppress(
            address,
            channel=message.channel,
            reason=closed,
            source="refused by the provider",
        )
