"""How figures, moments and states look on a screen."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

NOTHING: Final = "–"
TONES: Final[Mapping[str, str]] = {
    "draft": "grey",
    "planned": "blue",
    "planning": "blue",
    "leased": "blue",
    "attempting": "blue",
    "sending": "blue",
    "running": "blue",
    "staged": "blue",
    "active": "green",
    "live": "green",
    "accepted": "green",
    "applied": "green",
    "opted_in": "green",
    "finished": "grey",
    "replaced": "grey",
    "paused": "amber",
    "suppressed": "amber",
    "expired": "amber",
    "missed": "amber",
    "unknown": "amber",
    "cancelled": "grey",
    "refused": "red",
    "failed": "red",
    "opted_out": "red",
}
UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def number(value: float | None) -> str:
    """1234567 is "1,234,567"."""
    return NOTHING if value is None else f"{value:,.0f}"


def percent(part: float | None, whole: float | None) -> str:
    """The share with one decimal, "21.8 %"; of nothing there is no share."""
    if part is None or not whole:
        return NOTHING
    return f"{100 * part / whole:.1f} %"


def duration(seconds: float | None) -> str:
    """In the largest unit that fits: "3 minutes", "2 days"; below a minute "12 s"."""
    if seconds is None:
        return NOTHING
    for unit, length in UNITS:
        if seconds >= length:
            amount = int(seconds // length)
            return f"{amount:,} {unit}{'' if amount == 1 else 's'}"
    return f"{seconds:.0f} s" if seconds >= 1 or seconds <= 0 else f"{seconds:.1f} s"


def span(length: timedelta) -> str:
    """Exactly, to the minute: "1 day 6 hours"; nothing at all is "none"."""
    left = round(length.total_seconds())
    parts = []
    for unit, size in UNITS:
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount:,} {unit}{'' if amount == 1 else 's'}")
    return " ".join(parts) or "none"


def ago(moment: datetime | None, *, now: datetime) -> str:
    if moment is None:
        return NOTHING
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return f"in {duration(-seconds)}"
    return "just now" if seconds < 10 else f"{duration(seconds)} ago"


def stamp(moment: datetime | None) -> str:
    """Date and minute in UTC, as all screens show it."""
    return NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def printable(text: str) -> str:
    """On one line of a terminal: nothing in it breaks the line or moves the cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def pill(text: str, tone: str = "grey") -> SafeString:
    """A coloured word; tones: grey, blue, green, amber, red."""
    return format_html('<span class="pill pill-{}">{}</span>', tone, text)


def state_pill(state: str) -> SafeString:
    return pill(state.replace("_", " "), TONES.get(state, "grey"))


def link(url: str, text: str) -> SafeString:
    return format_html('<a class="textlink" href="{}">{}</a>', url, text)


def work_bar(key: str, share: float, step: str = "") -> SafeString:
    """How far a work is; a page that shows it brings it up to date by itself."""
    return format_html(
        '<span class="work" data-work="{}"><span class="bar" role="progressbar" '
        'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{}"><span style="width:{}%"></span>'
        '</span><span class="words">{}</span></span>',
        key,
        round(100 * share),
        round(100 * share),
        work_words(share, step),
    )


def work_words(share: float, step: str) -> str:
    return f"{step}, {share:.0%}" if step else f"{share:.0%}"
