"""How many SMS a text is: what a recipient's phone puts together and the sender pays one by one.

3GPP TS 23.038: seven bits a letter while every letter is in the GSM alphabet, else two bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LONGEST_TEXT: Final = 1_600  # what providers take; in UTF-16, so an emoji is two
GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")  # an escape and a letter
GSM_SINGLE, GSM_PART = 160, 153  # septets; the parts of a longer text carry a header
UCS2_SINGLE, UCS2_PART = 70, 67  # UTF-16 units


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets or UTF-16 units. `odd`: the letters that made it UCS-2."""

    encoding: str
    units: int
    count: int
    odd: str = ""

    def __str__(self) -> str:
        parts = "1 SMS" if self.count == 1 else f"{self.count} SMS"
        size = GSM_PART if self.encoding == "GSM-7" else UCS2_PART
        single = GSM_SINGLE if self.encoding == "GSM-7" else UCS2_SINGLE
        room = single if self.count <= 1 else size * self.count
        why = f" because of {' '.join(self.odd[:5])}" if self.odd else ""
        return f"{parts} ({self.units} of {room} places, {self.encoding}{why})"


def count_segments(text: str) -> Segments:
    odd = "".join(dict.fromkeys(one for one in text if one not in GSM and one not in GSM_EXTENDED))
    if odd:
        units, count = _pack(text, utf16_length, single=UCS2_SINGLE, part=UCS2_PART)
        return Segments("UCS-2", units, count, odd)
    units, count = _pack(text, _septets, single=GSM_SINGLE, part=GSM_PART)
    return Segments("GSM-7", units, count)


def utf16_length(text: str) -> int:
    return len(text) + sum(one > "\uffff" for one in text)


def _septets(letter: str) -> int:
    return 2 if letter in GSM_EXTENDED else 1


def _pack(text: str, width: Callable[[str], int], *, single: int, part: int) -> tuple[int, int]:
    """Units in all, and parts: a letter of two units never lies in two parts."""
    widths = [width(letter) for letter in text]
    total = sum(widths)
    if total <= single:
        return total, min(total, 1)
    parts, used = 1, 0
    for one in widths:
        if used + one > part:
            parts, used = parts + 1, 0
        used += one
    return total, parts
