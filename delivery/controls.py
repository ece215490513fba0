"""Caps, quiet hours, a person's own wishes and priority: whether a message may go at this moment.

Values only: rules, a person and a wish come in, a decision goes out. `control_rows.py` reads them,
and the mark asks, so that what forbids a message forbids it a moment before the call.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from delivery.policy import (
    CAPPED,
    OUTRANKED,
    PAUSED_BY_PERSON,
    QUIET_HOURS,
    TEST,
    TRANSACTIONAL,
    Allow,
    Decision,
    Defer,
    Drop,
    Elsewhere,
)

OUTRANKED_SECONDS: Final = 10.0  # until a message that waits for a better one asks again
WEEK_HOURS: Final = 7 * 24
MOST_HOURS: Final = 30 * 24
OWN_MAXIMUM: Final = "the person's own maximum"
# By these a message may go at night instead: they lie where their reader comes to look. Whatever
# rings by itself (a push, an SMS) cannot keep quiet, and a webhook does who knows what.
SILENT: Final = ("inbox", "email")
EXEMPT_KINDS: Final = (TEST, TRANSACTIONAL)  # neither counted nor capped nor kept quiet


class Cap(NamedTuple):
    """At most so many sends to one person in a period; two devices of one run are one send."""

    name: str
    most: int
    period: str = "hours"  # the last `hours`; or "day", "week", "month": of the person's calendar
    hours: int = 24
    channel: str = ""  # "": all together
    topic: str = ""  # "": all together

    def covers(self, one: "Sent | Wish") -> bool:
        return self.channel in {"", one.channel} and self.topic in {"", one.topic}

    def begins(self, now: datetime, zone: tzinfo) -> datetime:
        """Sends before this moment do not count any more."""
        if self.period == "hours":
            return now - timedelta(hours=self.hours)
        midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if self.period == "week":  # it begins on Monday
            midnight -= timedelta(days=midnight.weekday())
        elif self.period == "month":
            midnight = midnight.replace(day=1)
        return midnight.astimezone(UTC)


class Quiet(NamedTuple):
    """Hours of a person's wall clock in which nothing goes out; past midnight where `end` says."""

    begin: time
    end: time
    channel: str = ""  # "": all

    def ends(self, now: datetime, zone: tzinfo) -> datetime | None:
        """When the quiet that holds now is over; None when it does not hold."""
        local = now.astimezone(zone)
        clock = local.time()
        if self.begin <= self.end:
            quiet, today = self.begin <= clock < self.end, True
        else:
            quiet, today = clock >= self.begin or clock < self.end, clock < self.end
        if not quiet:
            return None
        day = local.date() if today else local.date() + timedelta(days=1)
        end = datetime.combine(day, self.end, tzinfo=zone).astimezone(UTC)
        # Where the clocks are set back in between, the same wall time may have been before.
        return max(end, now + timedelta(minutes=1))


class Rules(NamedTuple):
    caps: Sequence[Cap] = ()
    quiet: Sequence[Quiet] = ()


class Sent(NamedTuple):
    """What went out, or may have: an outcome that is not known counts."""

    unit: str  # the occasion, else the run, else the message: what counts as one
    channel: str
    topic: str
    at: datetime


class Wish(NamedTuple):
    """A message that wants to go."""

    unit: str
    channel: str
    topic: str
    expires_at: datetime
    priority: int = 50
    worth: float | None = 0.0  # expected, of what its slots show; None: nobody looked yet
    quiet: str = "hold"  # in quiet hours: hold, drop, ignore them, or the channel to go by


class Person(NamedTuple):
    """What the rules look at. `sent` grows while a batch is judged."""

    zone: tzinfo
    sent: list[Sent]
    rivals: Sequence[Wish] = ()  # due now, not sent, and nothing holds them
    quiet: Quiet | None = None  # their own wish
    most_a_week: int | None = None  # and this
    paused_until: datetime | None = None  # and this


def decide(wish: Wish, person: Person, rules: Rules, *, now: datetime) -> Decision:
    """Whether the message may go now. The attempt of an `Allow` is counted elsewhere."""
    return (
        _pause(wish, person, now)
        or _keep_quiet(wish, person, rules, now)
        or _cap(wish, person, rules, now)
        or Allow(0)
    )


def settle(wish: Wish, person: Person, *, now: datetime) -> None:
    """The message goes: it counts for the next one."""
    person.sent.append(Sent(wish.unit, wish.channel, wish.topic, now))


def next_open(at: datetime, *, channel: str, zone: tzinfo, quiet: Sequence[Quiet]) -> datetime:
    """The first moment from `at` on in which none of the quiet hours holds."""
    own = [one for one in quiet if one.channel in {"", channel}]
    for _ in range(2 * len(own) + 1):  # two that follow each other: the end of one is in the next
        ends = [end for one in own if (end := one.ends(at, zone)) is not None]
        if not ends:
            break
        at = max(ends)
    return at


def _pause(wish: Wish, person: Person, now: datetime) -> Decision | None:
    until = person.paused_until
    if until is None or until <= now:
        return None
    return Drop(PAUSED_BY_PERSON) if until >= wish.expires_at else Defer(until, PAUSED_BY_PERSON)


def _keep_quiet(wish: Wish, person: Person, rules: Rules, now: datetime) -> Decision | None:
    """What the person asked for holds whatever the campaign says, and on every channel."""
    shop = rules.quiet if wish.quiet != "ignore" else ()
    own = [person.quiet] if person.quiet else []
    elsewhere = wish.quiet in SILENT
    quiet = own if elsewhere else [*shop, *own]
    until = next_open(now, channel=wish.channel, zone=person.zone, quiet=quiet)
    if until == now:
        night = elsewhere and next_open(now, channel=wish.channel, zone=person.zone, quiet=shop)
        return Elsewhere(wish.quiet) if night and night > now else None
    if wish.quiet == "drop" or until >= wish.expires_at:
        return Drop(QUIET_HOURS)
    return Defer(until, QUIET_HOURS)


def _cap(wish: Wish, person: Person, rules: Rules, now: datetime) -> Decision | None:
    for cap in list_caps(person, rules):
        if not cap.covers(wish):
            continue
        begin = cap.begins(now, person.zone)
        counted = [one for one in person.sent if cap.covers(one) and one.at >= begin]
        spent = dict.fromkeys(one.unit for one in counted if one.unit != wish.unit)
        if len(spent) >= cap.most:
            note = {"cap": cap.name, "most": cap.most, "earlier": list(spent)[-cap.most :]}
            return Drop(CAPPED, [note])
        better = {
            one.unit
            for one in person.rivals
            if cap.covers(one) and one.unit not in spent and is_better(one, wish)
        }
        if len(spent) + len(better) >= cap.most:
            return Defer(now + timedelta(seconds=OUTRANKED_SECONDS), OUTRANKED)
    return None


def list_caps(person: Person, rules: Rules) -> Iterable[Cap]:
    yield from rules.caps
    if person.most_a_week is not None:
        yield Cap(OWN_MAXIMUM, person.most_a_week, hours=WEEK_HOURS)


def is_better(one: Wish, other: Wish) -> bool:
    """By declared priority, then by what is expected of it; of equals the older run.

    One whose worth nobody looked at yet may be worth more: it is waited for.
    """
    if one.unit == other.unit:
        return False
    if one.priority != other.priority:
        return one.priority > other.priority
    if one.worth is None or other.worth is None:
        return one.worth is None and other.worth is not None
    return (-one.worth, len(one.unit), one.unit) < (-other.worth, len(other.unit), other.unit)


@lru_cache(maxsize=1_000)
def find_zone(name: str | None, *, default: str = "UTC") -> tzinfo:
    """The zone a person named; the default where they named none, or one that is not known."""
    for known in (name, default):
        if isinstance(known, str) and known.isprintable() and known:
            try:
                return ZoneInfo(known)
            except (ValueError, OSError, LookupError):
                continue
    return UTC
