"""Forms that recipients send."""

from datetime import time

from django.http import QueryDict

from delivery.preferences import MOST_A_WEEK, Form
from engage.lib.errors import InvalidInput


def read_preferences(sent: QueryDict) -> Form:
    """Raises InvalidInput with a sentence for the page."""
    most = sent.get("most", "")
    if most and most not in map(str, MOST_A_WEEK):
        raise InvalidInput("Please choose how often from the list.")
    return Form(
        chosen=set(sent.getlist("topic")),
        shown=set(sent.getlist("shown")),
        most_a_week=int(most) if most else None,
        quiet=read_quiet(sent.get("quiet_begin", ""), sent.get("quiet_end", "")),
    )


def read_quiet(begin: str, end: str) -> tuple[time, time] | None:
    if not begin and not end:
        return None
    try:
        first, last = (time.fromisoformat(text) for text in (begin, end))
    except ValueError as exc:
        raise InvalidInput("Quiet hours need a time from and a time to.") from exc
    if first == last or first.tzinfo or last.tzinfo:
        raise InvalidInput("Quiet hours must end at another time than they begin.")
    return first, last
