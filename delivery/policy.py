"""Whether a message may go now: consent, suppression, holds and expiry, and when to try again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

NEED_OPT_IN: Final = ("email", "sms")  # silence is no consent to these
# Asked for by a server, for one person, about something they did: no marketing opt-out keeps it
# back. VERDICT names the kind too.
TRANSACTIONAL: Final = "transactional"
TRIGGERED: Final = "triggered"  # sent by an event, otherwise a campaign's as any other
TEST: Final = "test"
AWAITED: Final = (TRANSACTIONAL, TEST)  # somebody sits there and waits: they go before the rest
# One person at a time; if they become part of another, the message moves on. VERDICT names both.
ON_OCCASION: Final = (TRANSACTIONAL, TRIGGERED)
TO_DEVICES: Final = ("push", "web_push")  # one message per device; VERDICT names them too
MOST_RETURNS: Final = 5  # of a message whose holders die; then it is the one to blame
MAX_ATTEMPTS: Final = 8  # seven growing pauses, together about an hour
FIRST_PAUSE_SECONDS: Final = 30.0
LONGEST_PAUSE_SECONDS: Final = 3_600.0
# A receiver of webhooks is somebody's own server, and is mended on Monday: Standard Webhooks has
# it called ten times in about 76 hours. 5 s, 5 min, 30 min; 2, 5, 10, 14, 20 and 24 hours.
PAUSES_SECONDS: Final[Mapping[str, Sequence[float]]] = {
    "webhook": (
        5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0,
    ),
}  # fmt: skip
# Each of these is longer by up to a tenth, or a receiver that is back would get all at once.
JITTER: Final = 0.1
# How long a message is of use where nobody says otherwise: its pauses must find room.
USEFUL_FOR: Final = timedelta(hours=24)
USEFUL_ON: Final[Mapping[str, timedelta]] = {"webhook": timedelta(days=4)}


class Again(NamedTuple):
    """Whether a message is called again after a call whose outcome nobody knows."""

    most_calls: int  # none after so many, whatever became of the earlier ones
    pause_seconds: float = FIRST_PAUSE_SECONDS


# A receiver of webhooks knows the id of what it has and takes it once; an inbox has one place for
# a message, however often it is put there. Everybody else would show, mail or bill it twice: for
# marketing a miss is better. What somebody asked for must come: a push replaces on the screen the
# one with its key, and a mail comes twice at most, after a time in which a service's receipt may
# still say that the first arrived. A text is paid for twice, and stays unknown.
AGAIN: Final[Mapping[str, Again]] = {
    "webhook": Again(len(PAUSES_SECONDS["webhook"]) + 1, pause_seconds=0.0),
    "inbox": Again(MAX_ATTEMPTS),
}
TRANSACTIONAL_AGAIN: Final[Mapping[str, Again]] = {
    **AGAIN,
    "push": Again(MAX_ATTEMPTS),
    "web_push": Again(MAX_ATTEMPTS),
    "email": Again(2, pause_seconds=300.0),
}
NEVER_AGAIN: Final = Again(0)

# Reasons a message does not go out. The composer adds its own, like "slot_short".
EXPIRED: Final = "expired"
CANCELLED: Final = "cancelled"
PAUSED: Final = "paused"
LATER: Final = "later"  # the controls say when; never a final reason
ERASED: Final = "erased"  # the profile is gone
MERGED: Final = "merged"  # the profile became part of another, whose address this is not
NO_ADDRESS: Final = "no_address"
NO_CONSENT: Final = "no_consent"
ADDRESS_SUPPRESSED: Final = "address_suppressed"
CAPPED: Final = "capped"  # the record says by which rule and what went out before
QUIET_HOURS: Final = "quiet_hours"
PAUSED_BY_PERSON: Final = "paused_by_person"
OUTRANKED: Final = "outranked"  # waits: a cap has room, and something better wants it
HALTED: Final = "halted"  # all sending stands still
QUARANTINED: Final = "quarantined"  # too many holders died while they had it
WORKER_DIED: Final = "worker_died"  # in its call: no answer was read, and none is at fault
UNAVAILABLE: Final = "unavailable"  # the provider could not be reached until the end


@dataclass(frozen=True, slots=True)
class Allow:
    """Marked: the provider may be called, once. `attempt` counts from 1."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now. None: as soon as what holds it is gone."""

    until: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """Never; the reason is counted. `items` says more, for the message's own record."""

    reason: str
    items: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Not this way now: the same message goes by another channel, at once."""

    channel: str


Decision = Allow | Defer | Drop | Elsewhere

# The judgement over one message `m` with its `asked` address, in the statement that marks it.
# The order matters: the first that forbids gives the reason.
#
# A push token belongs to the device that brought it last: a phone changes hands. Its index
# leaves out those without a token, so the query says so, too; OFFSET 0 keeps PostgreSQL from
# hashing the whole table to answer for the few that are asked about.
# An unsubscribed address is open again when its owner opts in later; a bounced one is not.
# A transactional message needs no consent, and an unsubscribed address takes it; but STOP ends all
# that goes to a phone, because carriers see to it.
VERDICT: Final = """
CASE
  WHEN m.expires_at <= %(now)s THEN 'expired'
  WHEN hold.state IS NOT NULL THEN hold.state
  WHEN EXISTS (SELECT 1 FROM delivery_halt) THEN 'paused'
  WHEN p.id IS NULL THEN 'erased'
  WHEN p.merged_into IS NOT NULL
    THEN CASE WHEN m.kind IN ('transactional', 'triggered') THEN 'paused' ELSE 'merged' END
  WHEN asked.address = '' THEN 'no_address'
  WHEN m.channel IN ('push', 'web_push') AND NOT EXISTS (
    SELECT 1 FROM profiles_device d
    WHERE d.profile_id = m.profile_id AND d.device_id = m.address_id
      AND d.token = asked.address AND d.gone_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM profiles_device o WHERE o.token = d.token AND o.token <> ''
          AND (o.token_ms, o.token_message_id, o.profile_id, o.device_id)
            > (d.token_ms, d.token_message_id, d.profile_id, d.device_id))
    OFFSET 0) THEN 'no_address'
  WHEN CASE WHEN m.kind = 'transactional' THEN m.channel = 'sms' AND c.status = 'opted_out'
    ELSE c.status = 'opted_out' OR t.status = 'opted_out'
      OR (m.channel = ANY(%(need_opt_in)s) AND c.status IS NULL AND t.status IS NULL) END
    THEN 'no_consent'
  WHEN EXISTS (
    SELECT 1 FROM delivery_suppression s
    WHERE s.channel = m.channel AND s.digest = asked.digest
      AND (s.reason <> 'unsubscribed'
           OR (m.kind <> 'transactional' OR m.channel = 'sms') AND (c.status IS NULL
             OR c.stated_ms <= extract(epoch FROM s.created_at) * 1000)))
    THEN 'address_suppressed'
  ELSE 'allow'
END
"""
VERDICT_TABLES: Final = """
LEFT JOIN delivery_runhold hold ON hold.run_id = m.run_id
LEFT JOIN profiles_profile p ON p.id = m.profile_id
LEFT JOIN profiles_consent c
  ON c.profile_id = m.profile_id AND c.channel = m.channel AND c.topic = ''
LEFT JOIN profiles_consent t
  ON t.profile_id = m.profile_id AND t.channel = m.channel AND t.topic = m.topic
 AND m.topic <> ''
"""


def decide(verdict: str, *, attempt: int, said: Decision | None = None) -> Decision:
    """The value for a verdict of the mark. `said`: what the controls said of the message."""
    if verdict == "allow":
        return Allow(attempt)
    if verdict == PAUSED:
        return Defer(None, PAUSED)
    if isinstance(said, Defer | Elsewhere) and verdict == LATER:
        return said
    if isinstance(said, Drop) and verdict == said.reason:
        return said
    return Drop(verdict)


def useful_for(channel: str) -> timedelta:
    return USEFUL_ON.get(channel, USEFUL_FOR)


def most_calls(channel: str) -> int:
    """Of a message whose provider takes nothing now."""
    pauses = PAUSES_SECONDS.get(channel)
    return MAX_ATTEMPTS if pauses is None else len(pauses) + 1


def jitter_of(channel: str, message_id: UUID) -> float:
    """By how much of itself a pause is longer: of each message always the same.

    The last four bytes of an id are random; `reaping.GIVE_UP` reads the same ones.
    """
    return JITTER * (message_id.int & 0xFFFFFFFF) / 2**32 if channel in PAUSES_SECONDS else 0.0


def pause_seconds(
    attempt: int,
    *,
    channel: str = "",
    jitter: float = 0.0,
    retry_after_seconds: float | None = None,
) -> float:
    """How long to wait after the attempt: growing, never shorter than the provider asked."""
    pauses = PAUSES_SECONDS.get(channel)
    if pauses is None:
        grown = min(FIRST_PAUSE_SECONDS * 2.0 ** max(attempt - 1, 0), LONGEST_PAUSE_SECONDS)
    else:
        grown = pauses[min(max(attempt, 1), len(pauses)) - 1]
    return max(grown, retry_after_seconds or 0.0) * (1.0 + jitter)


def again_after_unknown(channel: str, kind: str) -> Again:
    return (TRANSACTIONAL_AGAIN if kind == TRANSACTIONAL else AGAIN).get(channel, NEVER_AGAIN)


def retry_unknown(
    attempt: int,
    *,
    channel: str,
    kind: str,
    now: datetime,
    expires_at: datetime,
    jitter: float = 0.0,
) -> Defer | None:
    """When a message is called again after its outcome stayed unknown; None: never."""
    again = again_after_unknown(channel, kind)
    if attempt >= again.most_calls:
        return None
    pause = max(pause_seconds(attempt, channel=channel, jitter=jitter), again.pause_seconds)
    until = now + timedelta(seconds=pause)
    return Defer(until) if until < expires_at else None


def retry(
    attempt: int,
    *,
    now: datetime,
    expires_at: datetime,
    channel: str = "",
    jitter: float = 0.0,
    retry_after_seconds: float | None = None,
) -> Defer | Drop:
    """What becomes of a message that the provider could not take now."""
    if attempt >= most_calls(channel):
        return Drop(UNAVAILABLE)
    pause = pause_seconds(
        attempt, channel=channel, jitter=jitter, retry_after_seconds=retry_after_seconds
    )
    until = now + timedelta(seconds=pause)
    return Drop(EXPIRED) if until >= expires_at else Defer(until)
