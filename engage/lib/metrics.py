"""Figures in the text format that Prometheus reads (version 0.0.4)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Family(NamedTuple):
    """One gauge; each sample is its labels and a value, or None when it is not known."""

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float | None]]


def render(families: Iterable[Family]) -> str:
    return "".join(line for family in families for line in lines_of(family))


def lines_of(family: Family) -> Iterable[str]:
    known = [(labels, value) for labels, value in family.samples if value is not None]
    if not known:
        return
    yield f"# HELP {family.name} {family.help}\n"
    yield f"# TYPE {family.name} gauge\n"
    for labels, value in known:
        yield f"{family.name}{braces(labels)} {float(value):.17g}\n"


def braces(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items()) + "}"


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
