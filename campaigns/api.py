"""Messages for other systems. Mounted with server-key auth by `engage/management_api.py`."""

from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from campaigns import transactional
from engage.lib import clock
from engage.lib.errors import InvalidInput, NotFound
from engage.profiles import identity

router = Router(tags=["messages"])


class Wish(Schema):
    campaign: int = Field(ge=1, le=2**63 - 1, description="The number in its address in the admin")
    userId: str = ""
    anonymousId: str = ""
    properties: dict[str, Any] = Field(
        {}, description="`event` in the template, at most 32 KB", examples=[{"order": 17}]
    )
    key: str = Field(description="Yours for this wish: repeated, nothing is sent twice")


class Planned(Schema):
    id: str
    channel: str
    state: str
    reason: str


class Answer(Schema):
    """What is on its way, and whether the key came before."""

    repeated: bool
    messages: list[Planned]


@router.post("/messages", response=Answer, summary="Send one person a message now")
def send_message(request: HttpRequest, body: Wish) -> dict[str, Any]:
    """The campaign is one that is sent “When your server asks”. Neither frequency caps nor quiet
    hours nor an unsubscription keep the message back; a dead or complaining address does. Repeat
    the request with the same `key` after any error of the network or a 503; it answers what became
    of the message."""
    if not body.userId and not body.anonymousId:
        raise InvalidInput("userId or anonymousId is needed: to whom?")
    person = identity.find_profile_id(user_id=body.userId, anonymous_id=body.anonymousId)
    if person is None:
        raise NotFound("There is no profile with this id. Send an event of the person first.")
    asked = transactional.ask(
        body.campaign, person, key=body.key, properties=body.properties, now=clock.now()
    )
    return {
        "repeated": asked.repeated,
        "messages": [
            {"id": str(one.id), "channel": one.channel, "state": one.state, "reason": one.reason}
            for one in asked.messages
        ],
    }
