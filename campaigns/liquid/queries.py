"""Values that stand in the query of a link are encoded, so that each stays one value.

`https://shop.example/?q={{ profile.city }}` becomes `…?q={{ profile.city | url_encode }}`. Only
what stands behind a `=` of the query is one value; an address or a whole query is left alone, and
so is a value that its author encodes already.
"""

import re
from functools import lru_cache

OUTPUT = r"\{\{(?>(?!\}\}).)*+\}\}"
TAG = r"\{%(?>(?!%\}).)*+%\}"
ATTRIBUTE = re.compile(
    rf"(?P<before>\b(?:href|src|action|background|background-url)\s*=\s*)(?:"
    rf"\"(?P<double>(?>{OUTPUT}|{TAG}|[^\"])*+)\"|'(?P<single>(?>{OUTPUT}|{TAG}|[^'])*+)')",
    re.DOTALL | re.IGNORECASE,
)
PART = re.compile(rf"(?P<output>{OUTPUT})|(?P<tag>{TAG})|[?&#=]", re.DOTALL)
ENCODED = re.compile(r"\|\s*(?:url_encode|base64_url_safe_encode)\s*-?\}\}$")
END = re.compile(r"\s*(-?)\}\}$")


def encode_attributes(html: str) -> str:
    """Of every address in HTML or MJML."""
    return ATTRIBUTE.sub(_attribute, html) if "{{" in html else html


@lru_cache(maxsize=2048)
def encode_address(address: str) -> str:
    return _encode(address) if "{{" in address else address


def _attribute(found: re.Match[str]) -> str:
    if found["double"] is not None:
        return f'{found["before"]}"{_encode(found["double"])}"'
    return f"{found['before']}'{_encode(found['single'])}'"


def _encode(address: str) -> str:
    in_query = in_value = False

    def part(found: re.Match[str]) -> str:
        nonlocal in_query, in_value
        text = found.group()
        if found["output"]:
            encoded = ENCODED.search(text) is not None
            return END.sub(r" | url_encode \1}}", text) if in_value and not encoded else text
        if not found["tag"]:
            in_query = text == "?" or (in_query and text != "#")
            in_value = in_query and (text == "=" or (in_value and text == "?"))
        return text

    return PART.sub(part, address)
