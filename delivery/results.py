"""What becomes of a message by what its provider answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from delivery import policy
from delivery.drafts import Accepted, Outcome, Refused, TryLater, Unknown
from delivery.models import Message
from delivery.receipts import whole

State = Message.State


@dataclass(frozen=True, slots=True)
class Result:
    """What becomes of one message, and the word for its attempt."""

    state: State
    outcome: str
    reason: str = ""
    provider_id: str = ""
    not_before: datetime | None = None
    items: Sequence[Mapping[str, object]] = ()  # of a message that shows nothing: why
    given_up: bool = False  # it was called as often as its channel allows, and never taken


def judge(message: Message, outcome: Outcome, *, attempt: int, now: datetime) -> Result:
    """An unknown stays unknown, unless the policy of its channel and kind has it called again.

    A provider's text is kept as far as the database can: no answer must be lost to it. Calls
    before somebody had it sent again count no more.
    """
    channel, calls = message.channel, attempt - message.calls_before
    jitter = policy.jitter_of(channel, message.id)
    match outcome:
        case Accepted(provider_id):
            return Result(State.ACCEPTED, "accepted", provider_id=whole(provider_id)[:255])
        case Refused(reason):
            return Result(State.FAILED, "refused", whole(reason)[:100])
        case Unknown(reason):
            again = policy.retry_unknown(
                calls,
                channel=channel,
                kind=message.kind,
                now=now,
                expires_at=message.expires_at,
                jitter=jitter,
            )
            state = State.UNKNOWN if again is None else State.PLANNED
            until = None if again is None else again.until
            given_up = calls >= policy.again_after_unknown(channel, message.kind).most_calls
            return Result(
                state, "unknown", whole(reason)[:100], not_before=until, given_up=given_up
            )
        case TryLater(reason, retry_after_seconds):
            decision = policy.retry(
                calls,
                now=now,
                expires_at=message.expires_at,
                channel=channel,
                jitter=jitter,
                retry_after_seconds=retry_after_seconds,
            )
            if isinstance(decision, policy.Defer):
                return Result(
                    State.PLANNED, "unavailable", whole(reason)[:100], not_before=decision.until
                )
            expired = decision.reason == policy.EXPIRED
            return Result(
                State.EXPIRED if expired else State.FAILED,
                "unavailable",
                decision.reason,
                given_up=not expired,
            )
