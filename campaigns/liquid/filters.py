"""The library's filters, each with its result and its work bounded."""

import json
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from liquid import Environment, Undefined
from liquid.exceptions import FilterArgumentError

from campaigns.liquid.limits import (
    MAX_NUMBER_BITS,
    MAX_VALUE_CHARACTERS,
    Spender,
    characters,
    cost,
    refuse_beyond,
)

Filter = Callable[..., Any]

CONSTANT = frozenset({"default", "size", "first", "last"})  # they look at one thing only
PARSING = {"strip_html": 10, "date": 10}  # times slower than others, for each character
MAX_DATE_CHARACTERS = 200


def bind(environment: Environment) -> dict[str, Filter]:
    """The filters of an environment as functions of (spender, value, *arguments)."""
    known = environment.filters | {"json": to_json}
    del known["safe"]  # it would print what people sent as HTML
    return {name: _bounded(name, function, environment) for name, function in known.items()}


class JsonText(str):
    """Is JSON already."""


def to_json(value: Any) -> JsonText:
    """The filter `json`: any value as JSON, with its quotes; what is missing is null."""
    plain = None if isinstance(value, Undefined) else value
    return JsonText(json.dumps(plain, default=str, allow_nan=False))


def _bounded(name: str, function: Filter, environment: Environment) -> Filter:
    wants_environment = getattr(function, "with_environment", False)
    call = partial(function, environment=environment) if wants_environment else function
    factor = 0 if name in CONSTANT else PARSING.get(name, 1)
    grows = name in GROWTH

    @wraps(function)
    def bounded(spender: Spender, value: Any, /, *args: Any, **kwargs: Any) -> Any:
        if kwargs and "environment" in kwargs:  # the library's own word, not an author's
            raise FilterArgumentError(f"{name} has no argument “environment”", token=None)
        if factor:
            spender.spend(factor * cost(value))
        if grows:
            GROWTH[name](spender, value, args)
        result = call(value, *args, **kwargs)
        if isinstance(result, str):
            if len(result) > MAX_VALUE_CHARACTERS:
                refuse_beyond(len(result))
        elif isinstance(result, int) and result.bit_length() > MAX_NUMBER_BITS:
            refuse_beyond(MAX_VALUE_CHARACTERS + 1)
        return result

    return bounded


def _replaced(_: Spender, value: Any, args: tuple[Any, ...]) -> None:
    if len(args) == 2:
        text, old, new = str(value), str(args[0]), str(args[1])
        refuse_beyond(len(text) + text.count(old) * max(0, len(new) - len(old)))


def _joined(_: Spender, value: Any, args: tuple[Any, ...]) -> None:
    if isinstance(value, list | tuple | range):
        separator = str(args[0]) if args else " "
        refuse_beyond(characters(list(value)) + len(value) * len(separator))


def _listed(_: Spender, value: Any, args: tuple[Any, ...]) -> None:
    """The one filter that could put the same text into a list a million times."""
    refuse_beyond(characters(value) + sum(characters(arg) for arg in args))


def _compared(spender: Spender, value: Any, _: tuple[Any, ...]) -> None:
    """Each with each."""
    if isinstance(value, list | tuple | range):
        spender.spend(len(value) * len(value) // 4)


def _written(spender: Spender, value: Any, _: tuple[Any, ...]) -> None:
    spender.spend(characters(value))


def _dated(_: Spender, value: Any, args: tuple[Any, ...]) -> None:
    for text in (value, *args):
        if isinstance(text, str) and len(text) > MAX_DATE_CHARACTERS:
            refuse_beyond(MAX_VALUE_CHARACTERS + 1)


GROWTH: dict[str, Callable[[Spender, Any, tuple[Any, ...]], None]] = {
    "replace": _replaced,
    "join": _joined,
    "concat": _listed,
    "uniq": _compared,
    "date": _dated,
    "json": _written,
}
