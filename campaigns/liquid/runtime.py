"""What a compiled template may call: the library's own semantics, without its bookkeeping."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from sys import getsizeof
from typing import Any, NoReturn

from liquid import Environment, RenderContext
from liquid.builtin.expressions.logical import _contains, _eq, _le, _lt
from liquid.exceptions import (
    LiquidSyntaxError,
    LiquidTypeError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
)
from liquid.limits import to_int
from liquid.stringify import to_liquid_string
from liquid.token import Token
from liquid.undefined import Undefined
from markupsafe import Markup
from markupsafe import _escape_inner as _escape  # type: ignore[attr-defined]

from campaigns.liquid import limits
from campaigns.liquid.limits import Spender, WorkLimitError, cost

html_text = _escape  # what `escape` does to a plain text, nine times faster
NOWHERE = Token("", "", -1, "")
UNDEFINED = Undefined("nothing")
UNLIMITED = object()  # a loop without `limit`
CONTINUE = object()  # `offset: continue`


class State(Spender):
    """What one compiled render assigns, counts and spends."""

    __slots__ = ("counters", "local_bytes", "locals", "stops", "work")

    def __init__(self) -> None:
        self.work = limits.MAX_WORK
        self.locals: dict[str, Any] = {}
        self.local_bytes = 0
        self.counters: dict[str, int] = {}
        self.stops: dict[str, int] = {}  # where each loop ended, for `offset: continue`

    def assign(self, name: str, value: Any) -> None:
        self.spend(cost(value))
        known = self.locals
        if name in known:
            self.local_bytes -= getsizeof(known[name], 1)
        known[name] = value
        self.local_bytes += getsizeof(value, 1)
        if self.local_bytes > limits.MAX_LOCAL_BYTES:
            raise LocalNamespaceLimitError("local namespace limit reached", token=None)

    def find(self, variables: Mapping[str, Any], name: str) -> Any:
        """A name that the template itself may have set."""
        for scope in (self.locals, variables, self.counters):
            if name in scope:
                return scope[name]
        return UNDEFINED

    def increment(self, name: str) -> str:
        value = self.counters.get(name, 0)
        self.counters[name] = value + 1
        return str(value)

    def decrement(self, name: str) -> str:
        self.counters[name] = value = self.counters.get(name, 0) - 1
        return str(value)

    def rounds(
        self, key: str, values: Any, limit: Any, offset: Any, backwards: bool
    ) -> tuple[Iterator[Any], int]:
        """What a loop goes through, as the library slices it, and how many there are."""
        items, length = _items(values)
        start = self.stops.get(key, 0) if offset is CONTINUE else _whole(offset)
        stop = 0 if limit is UNLIMITED else start + _whole(limit)
        first = min(max(start, 0), length)
        last = min(stop or length, length)
        self.stops[key] = last
        part = islice(items, first, last)
        return (reversed(list(part)) if backwards else part), max(last - first, 0)


def _items(values: Any) -> tuple[Iterator[Any], int]:
    if type(values) is list:
        return iter(values), len(values)
    if isinstance(values, Mapping):
        return iter(values.items()), len(values)
    if isinstance(values, str):
        return iter([values] if values else []), bool(values)
    if isinstance(values, Sequence):
        return iter(values), len(values)
    return iter([]), 0


def _whole(value: Any) -> int:
    try:
        return int(to_int(value))
    except (ValueError, TypeError) as exc:
        raise LiquidTypeError(
            f"expected an integer, found {type(value).__name__}", token=None
        ) from exc


class Lookup:
    """One step of a path. Never an attribute: keys of dictionaries, places of lists."""

    def __init__(self, environment: Environment) -> None:
        # `get_item` reads the switches of the environment and nothing else.
        self.get_item = RenderContext(environment.from_string("")).get_item

    def item(self, value: Any, key: Any) -> Any:
        try:
            if type(value) is list and type(key) is int:  # most of them, without more ado
                return value[key]
            return self.get_item(value, key)
        except (KeyError, TypeError, IndexError):
            return UNDEFINED


def text(value: Any) -> str:
    return str(to_liquid_string(value, False))


def html(value: Any) -> str:
    """What the library prints, without markupsafe's wrapping."""
    if type(value) is str:
        return html_text(value)
    if type(value) is int or type(value) is Markup:
        return str(value)
    return str(to_liquid_string(value, True))


def truthy(value: Any) -> bool:
    return not (value is None or value is False or value is UNDEFINED)


def equal(left: Any, right: Any) -> bool:
    if type(left) is str and type(right) is str:
        return left == right
    return bool(_eq(left, right))


def less(left: Any, right: Any) -> bool:
    return bool(_lt(NOWHERE, left, right))


def at_most(left: Any, right: Any) -> bool:
    return bool(_le(left, right))


def contains(state: State, left: Any, right: Any) -> bool:
    state.spend(cost(left))
    return bool(_contains(NOWHERE, left, right))


def width(part: str) -> int:
    return len(part.encode())


def overflow() -> NoReturn:
    raise OutputStreamLimitError("output stream limit reached", token=None)


def tired() -> NoReturn:
    raise WorkLimitError("the template does too much work", token=None)


def too_many_rounds() -> NoReturn:
    raise LoopIterationLimitError("loop iteration limit reached", token=None)


def stray(word: str) -> NoReturn:
    raise LiquidSyntaxError(f"unexpected '{word}'", token=None)
