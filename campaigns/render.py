"""A template and its variables, rendered. Preview, test and real sends all come through here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from campaigns.compiled import get_compiled
from campaigns.errors import TemplateFailed
from campaigns.language import parse
from campaigns.liquid.dialect import translate
from campaigns.liquid.queries import encode_address
from campaigns.models import Template


@dataclass(frozen=True, slots=True)
class Content:
    """What one person will see; a channel uses its own fields."""

    subject: str = ""
    html: str = ""
    text: str = ""
    title: str = ""
    body: str = ""
    image_url: str = ""
    link: str = ""
    button: str = ""
    content_type: str = ""


def render(template: Template, variables: Mapping[str, Any]) -> Content:
    """Raises `TemplateFailed`; the caller drops the message with that reason."""
    if template.channel == "email":
        return _email(template, variables)
    if template.channel == "webhook":
        return Content(body=_json(template.body, variables))
    return Content(
        title=_line(template.title, variables),
        body=parse(template.body).render(variables).strip(),
        image_url=_address(template.image_url, variables),
        link=_address(template.link, variables),
        button=_line(template.button, variables),
        content_type=template.content_type,
    )


def _email(template: Template, variables: Mapping[str, Any]) -> Content:
    seen = {**variables, "preheader": _line(template.preheader, variables)}
    compiled = get_compiled(template)
    return Content(
        subject=_line(template.subject, seen),
        html=parse(compiled.html, html=True).render(seen),
        text=parse(template.text or compiled.text).render(seen),
    )


def _json(source: str, variables: Mapping[str, Any]) -> str:
    text = parse(source, json=True).render(variables).strip()
    try:
        json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as exc:
        raise TemplateFailed(
            f"is not JSON once it is filled, line {exc.lineno}, column {exc.colno}: {exc.msg};"
            " outside of quotes write {{ … | json }}"
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise TemplateFailed(f"is not JSON once it is filled: {exc}") from exc
    return text


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _line(source: str, variables: Mapping[str, Any]) -> str:
    """One line: a header or an address must not get another from a value."""
    return " ".join(parse(source).render(variables).split()) if source else ""


def _address(source: str, variables: Mapping[str, Any]) -> str:
    """A value in the query of an address stays one value, whatever signs it has."""
    return _line(encode_address(translate(source)), variables) if source else ""
