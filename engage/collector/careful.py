"""JSON read with care: where the fast reader gives up, this says which part is to blame.

It takes what clients send although JSON or PostgreSQL has no place for it (NaN, half a surrogate
pair, a thousand brackets), so that one such event is refused and its neighbours are not.
"""

import json
import re
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 20  # containers within the properties of an event
MAX_DIGITS: Final = 40  # of a whole number

TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
MEMBER: Final = re.compile(rb'\s*("(?:[^"\\]++|\\.)*+")\s*:', re.DOTALL)
OPENING: Final = b"[{"
CLOSING: Final = b"]}"
PARTNER: Final = {ord("]"): ord("["), ord("}"): ord("{")}
QUOTE, COMMA, BRACE = b'",{'


class Malformed(ValueError):
    """Not JSON at all."""


class Unstorable(ValueError):
    """JSON, or nearly, that cannot be kept; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def split(raw: bytes) -> list[bytes]:
    """The parts of the outermost array or object between its commas, unread.

    Raises
    ------
    Malformed
        Brackets or quotes do not close, or something stands around the container.
    """
    open_brackets = bytearray()
    parts: list[bytes] = []
    start = end = -1
    for token in TOKEN.finditer(raw):
        place, letter = token.start(), raw[token.start()]
        if letter == QUOTE:
            if token.end() == place + 1 or not open_brackets:
                raise Malformed("a string does not end, or stands alone")
        elif letter == COMMA:
            if len(open_brackets) == 1:
                parts.append(raw[start:place])
                start = place + 1
        elif letter in OPENING:
            if not open_brackets:
                if end >= 0 or raw[:place].strip():
                    raise Malformed("more than one value")
                start = place + 1
            open_brackets.append(letter)
        else:
            if not open_brackets or open_brackets.pop() != PARTNER[letter]:
                raise Malformed("brackets do not match")
            if not open_brackets:
                parts.append(raw[start:place])
                end = place + 1
    if end < 0 or open_brackets or raw[end:].strip():
        raise Malformed("brackets do not close")
    if len(parts) == 1 and not parts[0].strip():
        return []
    if not all(part.strip() for part in parts):
        raise Malformed("nothing stands between two commas")
    return parts


def members(raw: bytes) -> dict[str, bytes]:
    """The values of an object, unread, by their names.

    Raises
    ------
    Malformed
    """
    if not raw.lstrip().startswith(b"{"):
        raise Malformed("not an object")
    found: dict[str, bytes] = {}
    for part in split(raw):
        name = MEMBER.match(part)
        if name is None:
            raise Malformed("a name is missing")
        try:
            found[json.loads(name[1])] = part[name.end() :]
        except ValueError as exc:
            raise Malformed("a name cannot be read") from exc
    return found


def depth(raw: bytes) -> int:
    """How many containers stand in each other."""
    deepest = level = 0
    for token in TOKEN.finditer(raw):
        letter = raw[token.start()]
        if letter in OPENING:
            level += 1
            deepest = max(deepest, level)
        elif letter in CLOSING:
            level -= 1
    return deepest


def read(raw: bytes) -> Any:
    """The value, when everything in it can be kept.

    Raises
    ------
    Unstorable
        With the code of the reason.
    Malformed
    """
    if depth(raw) > MAX_DEPTH + 1:
        raise Unstorable("too_deep")
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        raise Unstorable("invalid_utf8") from exc
    try:
        value = DECODER.decode(text.strip())
    except json.JSONDecodeError as exc:
        raise Malformed(str(exc)) from exc
    refuse_texts(value)
    return value


def refuse_texts(value: Any) -> None:
    """Raise Unstorable for a string, or a name, with NUL or half of a surrogate pair."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            refuse_text(each)
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each
            waiting += each.values()


def refuse_text(text: str) -> None:
    if "\x00" in text:
        raise Unstorable("nul_character")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise Unstorable("lone_surrogate") from exc


def read_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Unstorable("number_too_large")
    return int(digits)


def read_float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise Unstorable("number_too_large")
    return number


def refuse_constant(name: str) -> NoReturn:
    raise Unstorable("not_a_number")


# Not strict: raw control characters inside strings do no harm. NUL is looked for afterwards.
DECODER: Final = json.JSONDecoder(
    strict=False,
    parse_int=read_integer,
    parse_float=read_float,
    parse_constant=refuse_constant,
)
