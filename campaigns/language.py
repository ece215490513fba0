"""The template language: Liquid, with every limit set and nothing that reaches outside.

A template sees plain dictionaries, lists, texts and numbers. Values are never parsed again: what a
person typed as their name stays text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from json import dumps
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, RenderContext, Undefined
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError, OutputStreamLimitError
from liquid.stringify import to_liquid_string

from campaigns.errors import TemplateFailed

MAX_OUTPUT_BYTES = 1_000_000
MAX_VALUE_CHARACTERS = 200_000  # of any text in between
TOKEN = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


class Limits(Environment):
    """All off by default in the library."""

    context_depth_limit = 20
    block_nesting_limit = 20
    loop_iteration_limit = 10_000
    local_namespace_limit = 500_000  # bytes
    output_stream_limit = MAX_OUTPUT_BYTES


@dataclass(frozen=True, slots=True)
class Finding:
    """What a template says or does at a line of its source."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A source ready to render; `template` is None where there is nothing to fill in."""

    source: str
    template: BoundTemplate | None

    def render(self, variables: Mapping[str, Any]) -> str:
        """Raises `TemplateFailed` for anything the values or the limits make impossible."""
        if self.template is None:
            return self.source
        try:
            return str(self.template.render(**variables))
        except LiquidError as exc:
            raise TemplateFailed(_sentence(exc)) from exc
        except (ArithmeticError, ValueError, TypeError, RecursionError) as exc:
            # Filters meet what people sent us; one odd value must not stop the batch.
            raise TemplateFailed(f"a filter could not use a value: {type(exc).__name__}") from exc


@lru_cache(maxsize=2048)
def parse(source: str, *, html: bool = False, json: bool = False) -> Parsed:
    """Raises `TemplateFailed` when the source is not Liquid; cached by source.

    With `html` or `json` every value is escaped as that language wants it.
    """
    if "{{" not in source and "{%" not in source:
        return Parsed(source, None)
    found = find_error(source, json=json)
    if found is not None:
        raise TemplateFailed(f"line {found.line}: {found.message}")
    return Parsed(source, _environment(html, json).from_string(source))


def find_error(source: str, *, json: bool = False) -> Finding | None:
    """What is wrong with the Liquid of a source, and in which line."""
    environment = _environment(False, json)
    try:
        used = environment.from_string(source).analyze().filters
    except LiquidError as exc:
        token = getattr(exc, "token", None)
        index = token.start_index if token is not None and token.start_index >= 0 else len(source)
        return Finding(source.count("\n", 0, index) + 1, _sentence(exc))
    except RecursionError:
        return Finding(1, "is nested too deeply")
    for name, spans in used.items():  # the library would only say so while rendering
        if name not in environment.filters:
            line = source.count("\n", 0, spans[0].index) + 1
            return Finding(line, f"there is no filter “{name}”")
    return None


def list_names(source: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The outside names a source uses, as segments, each with its line.

    Raises `TemplateFailed` when the source is not Liquid.
    """
    template = parse(source).template
    if template is None:
        return
    for variables in template.analyze().globals.values():
        for variable in variables:
            segments = tuple(str(segment) for segment in variable.segments)
            yield segments, source.count("\n", 0, variable.span.index) + 1


@lru_cache(maxsize=3)
def _environment(html: bool, json: bool) -> Environment:
    environment = Limits(autoescape=html)
    # `safe` would print what people sent as HTML; the others would read other templates.
    del environment.filters["safe"]
    for tag in ("include", "render"):
        del environment.tags[tag]
    environment.filters["json"] = to_json
    if json:
        environment.add_tag(JsonOutput)
        environment.add_tag(JsonEcho)
        for tag in ("capture", "cycle"):  # they write values by themselves, not escaped
            del environment.tags[tag]
    for name, function in list(environment.filters.items()):
        environment.filters[name] = _bounded(name, function)
    return environment


class JsonText(str):
    """Is JSON already."""


def to_json(value: Any) -> JsonText:
    """The filter `json`: any value as JSON, with its quotes; what is missing is null."""
    plain = None if isinstance(value, Undefined) else value
    return JsonText(dumps(plain, default=str, allow_nan=False))


class JsonNode(OutputNode):
    """A value as it may stand between the quotes of a JSON string."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        if not isinstance(value, JsonText):
            value = dumps(to_liquid_string(value, False))[1:-1]
        return buffer.write(value)


class JsonOutput(Output):
    node_class = JsonNode


class JsonEchoNode(EchoNode):
    render_to_output = JsonNode.render_to_output


class JsonEcho(EchoTag):
    node_class = JsonEchoNode


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose texts stay small: a chain of them must not grow without limit."""

    @wraps(function)
    def bounded(value: Any, *args: Any, **kwargs: Any) -> Any:
        if name == "replace" and len(args) == 2:
            old, new = str(args[0]), str(args[1])
            times = str(value).count(old)
            _refuse_beyond(len(str(value)) + times * max(0, len(new) - len(old)))
        elif name == "join" and args and isinstance(value, list | tuple):
            _refuse_beyond(len(value) * len(str(args[0])))
        result = function(value, *args, **kwargs)
        if isinstance(result, str):
            _refuse_beyond(len(result))
        return result

    return bounded


def _refuse_beyond(length: int) -> None:
    if length > MAX_VALUE_CHARACTERS:
        raise OutputStreamLimitError("a text grew too long", token=None)


def _sentence(exc: BaseException) -> str:
    """The first line of the library's message, without its drawing."""
    if isinstance(exc, RecursionError):
        return "is nested too deeply"
    text = str(getattr(exc, "message", "") or exc)
    return text.splitlines()[0].strip() or type(exc).__name__
