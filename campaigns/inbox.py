"""The door for apps that show an inbox: the messages that wait for this person."""

import re
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponse

from campaigns import launch_facts
from campaigns.app_content import public_id, spell_time
from delivery import inbox
from delivery.inbox import Page, Place, Waiting
from engage.collector import access
from engage.lib import api, clock
from engage.lib.errors import InvalidInput

USUAL, MOST = 20, 100  # messages of one answer
COUNT: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
EMPTY: Final = Page()


@dataclass(frozen=True, slots=True)
class Asked:
    user_id: str
    anonymous_id: str
    limit: int
    before: Place | None


@api.for_machines
def view(request: HttpRequest) -> HttpResponse:
    """GET /v1/inbox: 200 with what waits; of somebody unknown, nothing."""
    if request.method not in {"GET", "HEAD"}:
        raise api.MethodNotAllowed("Ask for the inbox by GET.")
    access.open_to(request)
    asked = read(request)
    owner = launch_facts.find_owner(user_id=asked.user_id, anonymous_id=asked.anonymous_id)
    page = EMPTY
    if owner is not None:
        page = inbox.list_messages(owner, limit=asked.limit, before=asked.before, now=clock.now())
    response = api.respond(
        {
            "messages": [show(one) for one in page.messages],
            "unread": page.unread,
            "next": page.next or None,
        }
    )
    response["Cache-Control"] = "no-store, private"
    return response


def read(request: HttpRequest) -> Asked:
    """Raises `InvalidInput` for what cannot be meant."""
    try:
        given = request.GET
    except TooManyFieldsSent as exc:
        raise InvalidInput("the query has too many parameters") from exc
    user_id, anonymous_id = given.get("userId", ""), given.get("anonymousId", "")
    if not user_id and not anonymous_id:
        raise InvalidInput("userId or anonymousId is needed: whose inbox?")
    if "\x00" in user_id + anonymous_id:
        raise InvalidInput("userId, anonymousId: no id has a NUL in it")
    limit, before = given.get("limit", ""), given.get("before", "")
    if limit and not (COUNT.fullmatch(limit) and int(limit) <= MOST):
        raise InvalidInput(f"limit: expected a whole number from 1 to {MOST}")
    return Asked(
        user_id,
        anonymous_id,
        int(limit or USUAL),
        inbox.read_place(before) if before else None,
    )


def show(message: Waiting) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "campaign": public_id(message.campaign_id),
        "content_type": message.content_type,
        "content": message.content,
        "token": message.token,
        "created_at": spell_time(message.created_at),
        "expires_at": spell_time(message.expires_at),
        "read": message.read,
        "clicked": message.clicked,
    }
