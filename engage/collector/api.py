"""The doors for SDKs. No middleware, no ORM: a body is read, checked, and put into the stream."""

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from msgspec import Struct

from engage.collector import accept, access
from engage.collector.formats import segment
from engage.collector.formats.event import Rejection
from engage.lib import api, clock


class Answer(Struct):
    accepted: int
    rejected: list[Rejection]
    success: bool = True


encode = msgspec.json.Encoder().encode


@api.for_machines
def segment_door(request: HttpRequest, kind: str) -> HttpResponse:
    """One of `segment.KINDS`: 200 and a result for each event, or an error for all of them."""
    if request.method != "POST":
        raise api.MethodNotAllowed("Send events by POST.")
    body = api.read_body(request, limit=settings.BATCH_MAX_BYTES)
    batch = segment.parse(body, kind=kind)
    who = access.open_to(request, body_key=batch.write_key)
    taken = accept.accept_parsed(batch, body, who, now=clock.now(), form=f"segment/{kind}")
    return HttpResponse(
        encode(Answer(taken.accepted, list(taken.rejected))), content_type=api.JSON
    )


@api.for_machines
def settings_door(request: HttpRequest, key: str) -> HttpResponse:
    """What Segment's browser library asks its CDN for, so that it can be pointed at us."""
    if request.method != "GET":
        raise api.MethodNotAllowed("Ask by GET.")
    host = settings.PUBLIC_URL.partition("://")
    return api.respond(
        {
            "integrations": {
                "Segment.io": {
                    "apiKey": key,
                    "apiHost": f"{host[2]}/v1",
                    "protocol": host[0],
                    "deliveryStrategy": {"strategy": "batching"},
                }
            },
            "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        }
    )
