"""Phone numbers in the one form that providers take: E.164, "+" and digits."""

import re
from typing import Final

E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
# "+49 (0)170 …": the zero is dialled within the country only.
WITHIN: Final = re.compile(r"(?<=[0-9])[ \u00a0]*\(0\)")
FILLERS: Final = re.compile(r"[ \u00a0\u202f().\-/\u2010-\u2013]+")  # how people group digits


def find_number(text: str) -> str:
    """The number without what people put between its digits; empty when it is none.

    A number without a country ("0170 …") is none: nobody knows whose it is.
    """
    plain = FILLERS.sub("", WITHIN.sub("", text.strip(), count=1))
    return plain if E164.fullmatch(plain) else ""
