from datetime import UTC, datetime, timedelta

import pytest

from campaigns import schedule
from campaigns.models import Campaign


def recurring(rule="FREQ=DAILY", *, starts_at, zone="Europe/Berlin", **fields):
    return Campaign(
        schedule="recurring", recurrence=rule, starts_at=starts_at, time_zone=zone, **fields
    )


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_nine_in_the_morning_stays_nine_when_clocks_change():
    campaign = recurring(starts_at=utc(2026, 10, 24, 7, 0))  # 09:00 in summer time
    first = schedule.find_next(campaign, after=utc(2026, 10, 23))
    assert first == utc(2026, 10, 24, 7, 0)
    assert schedule.find_next(campaign, after=first) == utc(2026, 10, 25, 8, 0)


def test_a_time_the_clock_skips_comes_at_its_instant():
    campaign = recurring("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", starts_at=utc(2026, 3, 27))
    assert schedule.find_next(campaign, after=utc(2026, 3, 28, 12)) == utc(2026, 3, 29, 1, 30)


def test_a_time_the_clock_repeats_comes_once():
    campaign = recurring("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", starts_at=utc(2026, 10, 20))
    first = schedule.find_next(campaign, after=utc(2026, 10, 24, 12))
    assert first == utc(2026, 10, 25, 0, 30)
    assert schedule.find_next(campaign, after=first) == utc(2026, 10, 26, 1, 30)


def test_a_time_that_reads_later_than_now_is_due_when_the_clock_was_set_back_since():
    """Whoever was away from 2:29 on looks at 2:10, forty minutes later."""
    campaign = recurring("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", starts_at=utc(2026, 10, 20))
    assert schedule.find_due(campaign, now=utc(2026, 10, 25, 0, 29)) == utc(2026, 10, 24, 0, 30)
    assert schedule.find_due(campaign, now=utc(2026, 10, 25, 1, 10)) == utc(2026, 10, 25, 0, 30)


def test_a_skipped_time_is_to_come_for_who_looks_after_the_skip():
    campaign = recurring("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", starts_at=utc(2026, 3, 20))
    look = utc(2026, 3, 29, 1, 5)  # 03:05; 02:30 would be at 03:30
    assert schedule.find_next(campaign, after=look) == utc(2026, 3, 29, 1, 30)
    assert schedule.find_due(campaign, now=look) == utc(2026, 3, 28, 1, 30)


def test_a_rule_of_every_hour_loses_none_and_repeats_none_in_a_zone_that_shifts_by_two():
    hours = ",".join(map(str, range(24)))
    campaign = recurring(
        f"FREQ=DAILY;BYHOUR={hours};BYMINUTE=30;BYSECOND=0",
        starts_at=utc(2026, 3, 20), zone="Antarctica/Troll",
    )  # fmt: skip
    for day, many in ((utc(2026, 3, 28, 12), 24), (utc(2026, 10, 24, 12), 22)):
        comes, at = [], day
        while (at := schedule.find_next(campaign, after=at)) < day + timedelta(days=1):
            comes.append(at)
            assert schedule.find_due(campaign, now=at) == at
        assert (len(comes), comes) == (many, sorted(set(comes)))


def test_after_a_standstill_only_the_latest_time_is_due():
    campaign = recurring(starts_at=utc(2026, 11, 1, 9, 0), zone="UTC")
    assert schedule.find_due(campaign, now=utc(2026, 11, 5, 8, 0)) == utc(2026, 11, 4, 9, 0)


def test_after_a_standstill_beyond_the_end_the_last_time_before_it_is_due():
    campaign = recurring(
        starts_at=utc(2026, 11, 1, 9, 0), zone="UTC", ends_at=utc(2026, 11, 4, 9, 0)
    )
    assert schedule.find_due(campaign, now=utc(2026, 11, 6, 8, 0)) == utc(2026, 11, 4, 9, 0)


def test_nothing_is_due_before_the_launch_nor_after_the_end():
    campaign = recurring(
        starts_at=utc(2026, 11, 1, 9, 0), zone="UTC",
        launched_at=utc(2026, 11, 2, 10, 0), ends_at=utc(2026, 11, 4, 0, 0),
    )  # fmt: skip
    assert schedule.find_due(campaign, now=utc(2026, 11, 2, 12, 0)) is None
    assert schedule.find_due(campaign, now=utc(2026, 11, 3, 12, 0)) == utc(2026, 11, 3, 9, 0)
    assert schedule.find_next(campaign, after=utc(2026, 11, 3, 12, 0)) is None


def test_the_twenty_ninth_of_february_comes_in_leap_years():
    campaign = recurring("FREQ=YEARLY", starts_at=utc(2028, 2, 29, 9, 0), zone="UTC")
    assert schedule.find_next(campaign, after=utc(2028, 3, 1)) == utc(2032, 2, 29, 9, 0)


def test_one_time_is_due_from_then_on():
    at = utc(2026, 11, 2, 9, 0)
    campaign = Campaign(schedule="at", starts_at=at)
    assert schedule.find_due(campaign, now=at - timedelta(seconds=1)) is None
    assert schedule.find_due(campaign, now=at) == at


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("", "recurrence: is missing; such as FREQ=DAILY;BYHOUR=9;BYMINUTE=0"),
        ("every day", "recurrence: is no recurrence rule: FREQ must be one of DAILY, WEEKLY, "
                      "MONTHLY, YEARLY"),
        ("FREQ=SECONDLY", "recurrence: is no recurrence rule: FREQ must be one of DAILY, WEEKLY, "
                          "MONTHLY, YEARLY"),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0,10", "recurrence: may come at most once an hour"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "recurrence: never comes in ten years"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_used_says_why(rule, problem):
    campaign = recurring(rule, starts_at=utc(2026, 11, 2, 9, 0))
    assert [str(p) for p in schedule.check(campaign)] == [problem]


@pytest.mark.parametrize(
    "part", ["INTERVAL=0", "BYHOUR=99", "X=1", "UNTIL=nonsense", "BYDAY=XX", "BYEASTER=1000"]
)
def test_nonsense_inside_a_rule_is_refused(part):
    campaign = recurring(f"FREQ=DAILY;{part}", starts_at=utc(2026, 11, 2, 9, 0))
    assert len(list(schedule.check(campaign))) == 1


def test_an_unknown_zone_is_refused():
    campaign = recurring(starts_at=utc(2026, 11, 2), zone="Mars/Base")
    assert [p.path for p in schedule.check(campaign)] == ["time_zone"]


@pytest.mark.parametrize("start", [utc(1, 1, 1), utc(9999, 12, 31)])
def test_a_start_outside_the_calendar_is_refused(start):
    campaign = recurring(starts_at=start, zone="America/New_York")
    assert [p.path for p in schedule.check(campaign)] == ["recurrence"]
