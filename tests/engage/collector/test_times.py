import pytest

from engage.collector import filing, times
from engage.collector.formats.event import Event

NOON = 1_793_620_800_000  # 2026-11-02 12:00 UTC
HOUR = 3_600_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-02T12:00:00Z", "2026-11-02T12:00:00.000Z", "2026-11-02 12:00:00",
        "2026-11-02T13:00:00+01:00", "2026-11-02T13:00:00.000000+0100", "20261102T120000Z",
        "2026-11-02 12:00:00 UTC", "Mon, 02 Nov 2026 12:00:00 GMT", NOON, NOON / 1000,
        str(NOON), str(NOON // 1000), NOON * 1000, NOON * 1_000_000, f" {NOON} ",
    ],
)  # fmt: skip
def test_times_are_read_however_they_are_written(text):
    assert times.parse(text) == NOON


@pytest.mark.parametrize(
    "text",
    ["", None, "yesterday", "2026-13-01", "2026-11-02T25:00:00Z", "nan", "inf", "1e999", 1e300,
     "0000-00-00"],
)  # fmt: skip
def test_what_is_no_time_is_none(text):
    assert times.parse(text) is None


def test_a_day_alone_is_its_midnight():
    assert times.parse("2026-11-02") == NOON - 12 * HOUR


def time_of(*, stated=None, sent=None, **fields):
    event = Event(original_timestamp=stated, **fields)
    return filing.time_of(event, sent_at=times.parse(sent), received_ms=NOON)


def test_clock_that_is_a_year_late_is_corrected():
    stated, sent = "2025-11-02T10:59:50Z", "2025-11-02T11:00:00Z"
    assert time_of(stated=stated, sent=sent) == NOON - 10_000


def test_without_a_sending_time_the_client_is_believed():
    assert time_of(stated="2026-11-01T12:00:00Z") == NOON - 24 * HOUR


def test_without_a_time_it_is_the_arrival():
    assert time_of(sent="2020-01-01T00:00:00Z") == NOON


def test_sending_time_of_the_event_comes_before_that_of_the_batch():
    assert (
        time_of(stated="2026-11-02T11:00:00Z", sent="2020-01-01", sent_at="2026-11-02T11:30:00Z")
        == NOON - HOUR / 2
    )


def test_less_than_a_day_ahead_is_kept():
    assert time_of(stated="2026-11-03T11:59:59Z") == NOON + 24 * HOUR - 1000


@pytest.mark.parametrize("stated", ["2026-11-03T12:00:01Z", "9999-12-31T23:59:59Z", "gestern"])
def test_further_ahead_or_unreadable_has_no_time(stated):
    assert time_of(stated=stated) is None


def test_the_year_one_does_no_harm():
    assert time_of(stated="0001-01-01T00:00:00Z") == 0
    assert time_of(stated="0001-01-01T00:00:00Z", sent="9999-12-31T23:59:59Z") == 0
