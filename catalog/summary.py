"""An upload's report as lines for a person."""

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = 20  # refused rows


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Columns with their types, the difference with examples, and refused rows."""
    yield "Columns"
    theirs = {ours: name for name, ours in report["renamed"].items()}
    for name, kind in report["columns"].items():
        came = f"   (from “{theirs[name]}”)" if name in theirs else ""
        was = f"   (was {report['retyped'][name][0]})" if name in report["retyped"] else ""
        own = "   own" if name in report["types"] else ""
        yield f"  {name:<20} {kind:<8}{own}{came}{was}".rstrip()
    yield "Difference"
    for word in ("added", "changed", "removed"):
        yield f"  {report[word]:>10,} {word}"
        yield from (f"             {_example(one)}" for one in report["examples"][word])
    yield f"  {report['unchanged']:>10,} unchanged"
    yield f"  {report['refused']:>10,} refused"
    yield from _refused(report)


def _refused(report: Mapping[str, Any]) -> Iterator[str]:
    shown = report["refused_rows"][:SHOWN]
    for row in shown:
        product = f" (id {row['id']})" if row["id"] else ""
        said = f"{row['column']} {row['reason']}".strip()
        yield f"    line {row['line']}{product}: {said}"
    if report["refused"] > len(shown) and shown:
        yield "    … and more"


def _example(one: Mapping[str, Any]) -> str:
    if "was_now" not in one:
        return f"{one['id']}  {one['name']}"
    changes = (
        f"{name}: {_value(was, name)} → {_value(now, name)}"
        for name, (was, now) in one["was_now"].items()
    )
    return f"{one['id']}  {', '.join(changes)}"


def _value(value: object, column: str) -> str:
    if value in (None, ""):
        return "–"
    if column == "price" and isinstance(value, int | float):
        return f"{value:.2f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
