"""Figures that a row keeps as JSON, as a person reads them."""

from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from engage.lib import clock, screen


def table_of(figures: Mapping[str, Any]) -> SafeString:
    """Name and value in lines; what lies inside a value behind its name."""
    lines = [
        (name.removesuffix("_ms").replace("_", " "), write_moment(value))
        if name.endswith("_ms")
        else (name.replace("_", " "), write(value))
        for name, value in figures.items()
    ]
    rows = format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines)
    return format_html('<dl class="facts">{}</dl>', rows or screen.NOTHING)


def write_moment(value: Any) -> str:
    return screen.stamp(clock.from_millis(value)) + " UTC" if value else screen.NOTHING


def write(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {write(inside)}" for name, inside in value.items())
    if isinstance(value, list):
        return ", ".join(map(write, value)) or "none"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
