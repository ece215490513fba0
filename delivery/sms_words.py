"""What people answer to an SMS: the words carriers and laws make us understand."""

import re
import unicodedata
from enum import StrEnum
from typing import Final


class Wish(StrEnum):
    STOP = "stop"
    START = "start"
    HELP = "help"


# The lists of Twilio and AWS, read 2026-11, with their spellings in two words.
WORDS: Final = {
    **dict.fromkeys(
        ("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke",
         "optout", "opt-out", "opt out", "remove", "td", "arret"),
        Wish.STOP,
    ),
    **dict.fromkeys(("start", "unstop", "yes"), Wish.START),
    **dict.fromkeys(("help", "info"), Wish.HELP),
}  # fmt: skip
EDGES: Final = re.compile(r"^[\W_]+|[\W_]+$")


def read_wish(text: str) -> Wish | None:
    """The wish, when the whole message is one of the words; None for any other text.

    In any case, with or without accents, quotes and full stops: "Stop!", "ARRÊT". A sentence that
    holds such a word is no wish: "I cannot stop buying".
    """
    plain = unicodedata.normalize("NFKD", text)
    letters = "".join(one for one in plain if not unicodedata.combining(one)).casefold()
    return WORDS.get(" ".join(EDGES.sub("", letters).split()))
