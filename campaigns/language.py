"""The template language: Liquid, with every limit set and nothing that reaches outside.

A template sees plain dictionaries, lists, texts and numbers. Values are never parsed again: what a
person typed as their name stays text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from campaigns.errors import TemplateFailed
from campaigns.liquid import defaults
from campaigns.liquid.compiler import Program, compile_template
from campaigns.liquid.dialect import translate
from campaigns.liquid.environment import Escape, environment
from campaigns.liquid.limits import MAX_SOURCE_CHARACTERS

TOKEN = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a template says or does at a line of its source."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A source ready to render; `template` is None where there is nothing to fill in.

    `program` is the template as a Python function, or None where only the library can render it.
    """

    source: str
    template: BoundTemplate | None
    program: Program | None = None

    def render(self, variables: Mapping[str, Any]) -> str:
        """Raises `TemplateFailed` for anything the values or the limits make impossible."""
        if self.template is None:
            return self.source
        try:
            if self.program is not None:
                return self.program(variables)
            return str(self.template.render(**variables))
        except LiquidError as exc:
            raise TemplateFailed(_sentence(exc)) from exc
        except RecursionError as exc:
            raise TemplateFailed(_sentence(exc)) from exc
        except (
            ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError
        ) as exc:  # fmt: skip
            # Filters meet what people sent us; one odd value must not stop the batch.
            raise TemplateFailed(f"a filter could not use a value: {type(exc).__name__}") from exc


@lru_cache(maxsize=2048)
def parse(source: str, *, html: bool = False, json: bool = False) -> Parsed:
    """Raises `TemplateFailed` when the source is not Liquid; cached by source.

    Values are escaped for HTML, or for standing inside a JSON string, or not at all.
    """
    if "{{" not in source and "{%" not in source:
        return Parsed(source, None)
    found = find_error(source, json=json)
    if found is not None:
        raise TemplateFailed(f"line {found.line}: {found.message}")
    escape: Escape = "html" if html else "json" if json else "text"
    template = environment(escape).from_string(translate(source))
    return Parsed(source, template, compile_template(template, escape))


def find_error(source: str, *, json: bool = False) -> Finding | None:
    """What is wrong with the Liquid of a source, and in which line."""
    if len(source) > MAX_SOURCE_CHARACTERS:
        return Finding(1, f"is longer than {MAX_SOURCE_CHARACTERS:,} characters")
    source = translate(source)  # line by line the same
    known = environment("json" if json else "text")
    try:
        used = known.from_string(source).analyze().filters
    except LiquidError as exc:
        token = getattr(exc, "token", None)
        index = token.start_index if token is not None and token.start_index >= 0 else len(source)
        return Finding(source.count("\n", 0, index) + 1, _sentence(exc))
    except RecursionError:
        return Finding(1, "is nested too deeply")
    for name, spans in used.items():  # the library would only say so while rendering
        if name not in known.filters:
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
    translated = translate(source)
    for variables in template.analyze().globals.values():
        for variable in variables:
            segments = tuple(str(segment) for segment in variable.segments)
            yield segments, translated.count("\n", 0, variable.span.index) + 1


def list_unguarded(source: str) -> Iterator[tuple[str, int]]:
    """Profile attributes printed without a default or a condition, each with its line.

    Raises `TemplateFailed` when the source is not Liquid.
    """
    template = parse(source).template
    if template is not None:
        translated = translate(source)
        for attribute, index in defaults.list_unguarded(template):
            yield attribute, translated.count("\n", 0, index) + 1


def _sentence(exc: BaseException) -> str:
    """The first line of the library's message, without its drawing."""
    if isinstance(exc, RecursionError):
        return "is nested too deeply"
    text = str(getattr(exc, "message", "") or exc)
    return text.splitlines()[0].strip() or type(exc).__name__
