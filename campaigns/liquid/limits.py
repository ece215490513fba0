"""What one render may use. Both engines, compiled and the library's, spend from these alike.

The library bounds the length of nested loops, the output and the size of local variables. That
leaves much room: a thousand loops one after another, a text searched in each round of a loop,
one text many times in a list. Therefore every render also has work units: a microsecond is worth
five of the library's at worst, and so no render takes a fifth of a second.
"""

from typing import Any

from liquid.exceptions import (
    LoopIterationLimitError,
    OutputStreamLimitError,
    ResourceLimitError,
)

MAX_OUTPUT_BYTES = 1_000_000
MAX_VALUE_CHARACTERS = 200_000  # of any text in between
MAX_LOOP_ROUNDS = 10_000  # of nested loops together; also the longest range
MAX_LOCAL_BYTES = 500_000  # of the template's own variables
MAX_NUMBER_BITS = 14_000  # more digits than Python writes out
MAX_DEPTH = 20  # of blocks, and of scopes
MAX_SOURCE_CHARACTERS = 500_000  # of a field of a template
MAX_COMPILED_NODES = 2_000  # tags, outputs and filters; a longer template is not made into Python
MAX_WORK = 500_000  # units of one render
NODE_WORK = 10  # units of one tag or output in a round of a loop
LOOP_WORK = 50  # units of beginning a loop
ITEM_WORK = 10  # units of one element of a list that a filter looks through


class WorkLimitError(ResourceLimitError):
    """The template does more than one message is worth."""


class Spender:
    """Something with work units left: the library's context, or the state of a compiled render."""

    __slots__ = ()
    work: int

    def spend(self, units: int) -> None:
        self.work -= units  # type: ignore[misc]  # the slot is that of each heir
        if self.work < 0:
            raise WorkLimitError("the template does too much work", token=None)


def cost(value: object) -> int:
    """Units of one look through a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | tuple | range):
        return ITEM_WORK * len(value)
    return 0


def characters(value: object) -> int:
    """How long a value is when it is printed, roughly."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(str(key)) + characters(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return sum(characters(one) for one in value)
    return 8


def refuse_beyond(length: int) -> None:
    if length > MAX_VALUE_CHARACTERS:
        raise OutputStreamLimitError("a text grew too long", token=None)


def bounded_range(start: Any, stop: Any) -> range:
    """Liquid's (start..stop), which includes its end."""
    if stop - start >= MAX_LOOP_ROUNDS:
        raise LoopIterationLimitError("a range is too long", token=None)
    return range(start, stop + 1) if start <= stop else range(0)
