"""The wire formats, by the name that the stream remembers with each body.

A format is one module with `parse(body, *, kind) -> Batch`, the same at the door and at ingest,
and one line here.
"""

from collections.abc import Callable
from typing import Final

from engage.collector.formats import segment
from engage.collector.formats.event import Batch

FORMATS: Final[dict[str, Callable[..., Batch]]] = {"segment": segment.parse}


def parse(body: bytes, *, form: str) -> Batch:
    """`form` is format and kind: "segment/batch"."""
    name, _, kind = form.partition("/")
    return FORMATS[name](body, kind=kind)
