"""Whether a message may go now: caps, quiet hours, a person's wishes, priority."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.controls import (
    SILENT,
    Cap,
    Person,
    Quiet,
    Rules,
    Sent,
    Wish,
    decide,
    find_zone,
    is_better,
    next_open,
    settle,
)
from delivery.policy import Allow, Defer, Drop, Elsewhere

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)  # a Monday
BERLIN, KIRITIMATI = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Kiritimati")
NIGHT = Quiet(time(22), time(8))


def wish(unit="run 9", channel="push", topic="", *, hours=24, **more) -> Wish:
    return Wish(unit, channel, topic, NOON + timedelta(hours=hours), **more)


def sent(*ages_hours: float, channel="push", topic="") -> list[Sent]:
    return [
        Sent(f"run {number}", channel, topic, NOON - timedelta(hours=age))
        for number, age in enumerate(ages_hours, start=1)
    ]


def ask(wished: Wish, *, caps=(), quiet=(), now=NOON, zone=UTC, history=(), own=None, **person):
    asked = Person(zone, list(history), quiet=own, **person)
    return decide(wished, asked, Rules(caps, quiet), now=now)


# --- caps -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "allowed"), [(sent(25, 1), True), (sent(23, 1), False), (sent(24, 24), False)]
)
def test_a_rolling_cap_counts_the_last_hours(history, allowed):
    decision = ask(wish(), caps=[Cap("two a day", 2, hours=24)], history=history)
    assert isinstance(decision, Allow) == allowed


def test_what_was_capped_says_by_which_rule_and_what_went_out_before():
    decision = ask(wish(), caps=[Cap("two a day", 2, hours=24)], history=sent(20, 10, 1))
    note = {"cap": "two a day", "most": 2, "earlier": ["run 2", "run 3"]}
    assert decision == Drop("capped", [note])


@pytest.mark.parametrize(
    ("period", "zone", "begins"),
    [
        ("day", UTC, datetime(2026, 11, 2, 0, 0, tzinfo=UTC)),
        ("day", BERLIN, datetime(2026, 11, 1, 23, 0, tzinfo=UTC)),
        ("day", KIRITIMATI, datetime(2026, 11, 2, 10, 0, tzinfo=UTC)),  # Tuesday 02:00 there
        ("week", BERLIN, datetime(2026, 11, 1, 23, 0, tzinfo=UTC)),
        ("month", BERLIN, datetime(2026, 10, 31, 23, 0, tzinfo=UTC)),
    ],
)
def test_a_calendar_cap_begins_with_the_persons_own_day_week_or_month(period, zone, begins):
    assert Cap("c", 1, period).begins(NOON, zone) == begins


def test_a_week_that_begins_before_the_clocks_change_begins_at_its_own_midnight():
    sunday = datetime(2026, 10, 25, 12, 0, tzinfo=UTC)  # the clocks went back that night
    monday_before = datetime(2026, 10, 18, 22, 0, tzinfo=UTC)  # 00:00 in summer time
    assert Cap("c", 1, "week").begins(sunday, BERLIN) == monday_before


def test_caps_of_a_channel_or_topic_count_only_theirs():
    caps = [Cap("one push", 1, channel="push"), Cap("one offer", 1, topic="offers")]
    assert ask(wish(), caps=caps, history=sent(1, channel="email")) == Allow(0)
    news = sent(1, channel="email", topic="news")
    assert ask(wish(topic="offers"), caps=caps, history=news) == Allow(0)
    offers = sent(1, channel="email", topic="offers")
    assert isinstance(ask(wish(topic="offers"), caps=caps, history=offers), Drop)


def test_two_devices_of_one_run_are_one_send():
    caps = [Cap("one a day", 1)]
    person = Person(UTC, [])
    for _ in range(2):
        assert decide(wish("run 1"), person, Rules(caps), now=NOON) == Allow(0)
        settle(wish("run 1"), person, now=NOON)
    assert isinstance(decide(wish("run 2"), person, Rules(caps), now=NOON), Drop)


def test_a_persons_own_weekly_maximum_is_a_cap_like_any_other():
    history = sent(150, 100)
    assert ask(wish(), history=history, most_a_week=3) == Allow(0)
    decision = ask(wish(), history=history, most_a_week=2)
    assert decision.items[0]["cap"] == "the person's own maximum"
    assert isinstance(ask(wish(), most_a_week=0), Drop)


# --- quiet hours ------------------------------------------------------------------------------


def test_quiet_hours_are_those_of_the_persons_clock():
    late = NOON.replace(hour=21)  # 22:00 in Berlin, 11:00 on Kiritimati
    assert ask(wish(), quiet=[NIGHT], now=late, zone=KIRITIMATI) == Allow(0)
    morning = datetime(2026, 11, 3, 7, 0, tzinfo=UTC)
    assert ask(wish(), quiet=[NIGHT], now=late, zone=BERLIN) == Defer(morning, "quiet_hours")


@pytest.mark.parametrize("clock", [time(22), time(23, 59), time(0), time(7, 59)])
def test_the_night_holds_from_its_first_to_before_its_last_minute(clock):
    at = datetime.combine(NOON.date(), clock, tzinfo=UTC)
    assert NIGHT.ends(at, UTC).time() == time(8)
    assert 0 < (NIGHT.ends(at, UTC) - at).total_seconds() <= 10 * 3600


@pytest.mark.parametrize("clock", [time(8), time(21, 59)])
def test_outside_the_night_nothing_holds(clock):
    assert NIGHT.ends(datetime.combine(NOON.date(), clock, tzinfo=UTC), UTC) is None


def test_quiet_hours_are_kept_dropped_or_ignored_as_the_campaign_says():
    late = NOON.replace(hour=23)
    assert ask(wish(quiet="drop"), quiet=[NIGHT], now=late) == Drop("quiet_hours")
    assert ask(wish(quiet="ignore"), quiet=[NIGHT], now=late) == Allow(0)
    assert ask(wish(hours=12), quiet=[NIGHT], now=late) == Drop("quiet_hours")  # expires at 00:00


def test_what_the_person_asked_for_holds_whatever_the_campaign_says():
    noon_break = Quiet(time(12), time(13))
    decision = ask_own(wish(quiet="ignore"), noon_break)
    assert decision == Defer(NOON + timedelta(hours=1), "quiet_hours")


def ask_own(wished: Wish, own: Quiet):
    return decide(wished, Person(UTC, [], quiet=own), Rules(), now=NOON)


def test_quiet_hours_that_follow_each_other_are_waited_for_together():
    morning = Quiet(time(8), time(9, 30))
    late = NOON.replace(hour=23)
    assert next_open(late, channel="push", zone=UTC, quiet=[NIGHT, morning]) == datetime(
        2026, 11, 3, 9, 30, tzinfo=UTC
    )


def test_quiet_hours_of_one_channel_leave_the_others():
    only_push = NIGHT._replace(channel="push")
    late = NOON.replace(hour=23)
    assert ask(wish(channel="email"), quiet=[only_push], now=late) == Allow(0)
    assert isinstance(ask(wish(channel="push"), quiet=[only_push], now=late), Defer)


def test_a_night_in_which_the_clocks_change_ends_at_eight_all_the_same():
    for day, eight_utc in ((datetime(2026, 3, 28, 22, tzinfo=UTC), 6),
                           (datetime(2026, 10, 24, 22, tzinfo=UTC), 7)):  # fmt: skip
        assert NIGHT.ends(day, BERLIN) == (day + timedelta(days=1)).replace(hour=eight_utc)


def test_a_pause_of_the_person_is_waited_for_unless_the_message_expires_first():
    tomorrow = NOON + timedelta(hours=20)
    assert ask(wish(), paused_until=tomorrow) == Defer(tomorrow, "paused_by_person")
    assert ask(wish(hours=20), paused_until=tomorrow) == Drop("paused_by_person")
    assert ask(wish(), paused_until=NOON) == Allow(0)


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../../etc/passwd", "\x00", "x" * 999])
def test_a_zone_that_is_none_is_the_default(name):
    assert find_zone(name, default="Europe/Berlin") == BERLIN


def test_a_campaign_may_go_by_a_silent_channel_at_night_instead():
    late = NOON.replace(hour=23)
    for silent in ("inbox", "email"):
        assert ask(wish(quiet=silent), quiet=[NIGHT], now=late) == Elsewhere(silent)
        assert ask(wish(quiet=silent), quiet=[NIGHT]) == Allow(0)


def test_quiet_that_the_person_asked_for_is_waited_for_on_every_channel():
    late, own = NOON.replace(hour=23), Quiet(time(22, 30), time(6))
    waits = ask(wish(quiet="inbox"), own=own, quiet=[NIGHT], now=late)
    assert waits == Defer(datetime(2026, 11, 3, 6, 0, tzinfo=UTC), "quiet_hours")
    # At six the person's own night is over, the shop's is not.
    then = ask(wish(quiet="inbox"), own=own, quiet=[NIGHT], now=waits.until)
    assert then == Elsewhere("inbox")


# --- priority ---------------------------------------------------------------------------------

ONE = [Cap("one a day", 1)]


def test_where_one_may_go_the_declared_priority_decides():
    low, high = wish("run 1", priority=10), wish("run 2", priority=90)
    waits = Defer(NOON + timedelta(seconds=10), "outranked")
    assert ask(low, caps=ONE, rivals=[high]) == waits
    assert ask(high, caps=ONE, rivals=[low]) == Allow(0)


def test_of_equal_priority_the_worthier_goes_and_the_unseen_is_waited_for():
    some, more = wish("run 1", worth=0.2), wish("run 2", worth=0.3)
    unseen = wish("run 3", worth=None)
    assert ask(more, caps=ONE, rivals=[some]) == Allow(0)
    assert isinstance(ask(some, caps=ONE, rivals=[more]), Defer)
    assert isinstance(ask(more, caps=ONE, rivals=[unseen]), Defer)


def test_rivals_are_no_matter_where_there_is_room_for_all():
    two = [Cap("two a day", 2)]
    assert ask(wish("run 1"), caps=two, rivals=[wish("run 2", priority=90)]) == Allow(0)


def test_of_any_rivals_exactly_one_is_better_than_all_others():
    wishes = [
        wish(f"run {number}", priority=priority, worth=worth)
        for number, (priority, worth) in enumerate(
            (p, w) for p in (10, 50) for w in (0.0, 0.5) for _ in range(3)
        )
    ]
    best = [one for one in wishes if not any(is_better(other, one) for other in wishes)]
    assert [(one.unit, one.priority, one.worth) for one in best] == [("run 9", 50, 0.5)]


# --- all together -----------------------------------------------------------------------------

moments = st.integers(0, 14 * 24 * 60).map(lambda minutes: NOON + timedelta(minutes=minutes))
zones = st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns"])
channels, topics = st.sampled_from(["push", "email", "in_app"]), st.sampled_from(["", "offers"])
caps = st.builds(
    Cap,
    st.just("cap"),
    st.integers(1, 3),
    st.sampled_from(["hours", "day", "week", "month"]),
    st.integers(1, 200),
    st.sampled_from(["", "push", "email"]),
    topics,
)
clocks = st.times().map(lambda one: one.replace(second=0, microsecond=0))
QUIET = ["hold", "drop", "inbox", "email"]
quiets = st.tuples(clocks, clocks).filter(lambda pair: pair[0] != pair[1])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(caps, max_size=3),
    st.lists(quiets.map(lambda pair: Quiet(*pair)), max_size=2),
    st.lists(
        st.tuples(moments, channels, topics, st.integers(1, 12), st.sampled_from(QUIET)),
        max_size=40,
    ),
    zones,
    st.one_of(st.none(), st.integers(0, 3)),
    st.one_of(st.none(), quiets.map(lambda pair: Quiet(*pair))),
)
def test_no_settings_let_a_rule_be_broken(caps, quiets, arriving, zone_name, most_a_week, own):
    zone = find_zone(zone_name)
    person = Person(zone, [], quiet=own, most_a_week=most_a_week)
    rules = Rules(caps, quiets)
    gone: list[tuple[datetime, Wish]] = []
    for at, channel, topic, number, quiet in sorted(arriving):
        wished = Wish(f"run {number}", channel, topic, at + timedelta(hours=24), quiet=quiet)
        decision = decide(wished, person, rules, now=at)
        if isinstance(decision, Elsewhere):
            assert quiet == decision.channel
            assert any(one.ends(at, zone) for one in quiets)
            wished = wished._replace(channel=decision.channel, quiet="ignore")
            decision = decide(wished, person, rules, now=at)
            assert not isinstance(decision, Elsewhere | Defer)  # it goes at once, or never
        if isinstance(decision, Defer):
            assert at < decision.until < wished.expires_at
        if isinstance(decision, Allow):
            settle(wished, person, now=at)
            gone.append((at, wished))
    for at, wished in gone:
        assert own is None or own.ends(at, zone) is None
        if wished.quiet == "ignore":  # it went by another channel
            assert wished.channel in SILENT
        else:
            assert all(one.ends(at, zone) is None for one in quiets)
    weekly = [] if most_a_week is None else [Cap("own", most_a_week, hours=168)]
    for cap in [*caps, *weekly]:
        for at, wished in gone:
            if cap.covers(wished):
                begin = cap.begins(at, zone)
                units = {w.unit for t, w in gone if cap.covers(w) and begin <= t <= at}
                assert len(units) <= cap.most
