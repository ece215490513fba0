"""Figures, moments and states as people read them."""

from datetime import timedelta

import pytest

from engage.lib import screen
from tests.factories import NOON


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567, "1,234,567"), (999.6, "1,000"), (None, "–")],
)
def test_number_has_thousands(value: float | None, text: str) -> None:
    assert screen.number(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(218, 1000, "21.8 %"), (1, 1, "100.0 %"), (0, 5, "0.0 %"), (3, 0, "–"), (None, 5, "–")],
)
def test_percent_has_one_decimal_and_no_share_of_nothing(part, whole, text) -> None:
    assert screen.percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.2, "0.2 s"), (59, "59 s"), (60, "1 minute"), (7_199, "1 hour"),
     (90_000, "1 day"), (200_000, "2 days"), (None, "–")],
)  # fmt: skip
def test_duration_takes_the_largest_unit(seconds, text) -> None:
    assert screen.duration(seconds) == text


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0, "none"), (0.25, "15 minutes"), (1.5, "1 hour 30 minutes"), (24, "1 day"),
     (49.25, "2 days 1 hour 15 minutes")],
)  # fmt: skip
def test_span_is_exact(hours, text) -> None:
    assert screen.span(timedelta(hours=hours)) == text


def test_moments_are_told_from_now() -> None:
    assert screen.ago(NOON, now=NOON) == "just now"
    assert screen.ago(NOON, now=NOON + timedelta(minutes=3)) == "3 minutes ago"
    assert screen.ago(NOON + timedelta(hours=2), now=NOON) == "in 2 hours"
    assert screen.ago(None, now=NOON) == "–"


def test_pill_shows_markup_as_text() -> None:
    assert str(screen.pill("<b>", "red")) == '<span class="pill pill-red">&lt;b&gt;</span>'
