"""The API for servers: the rooms' routers under one key, and the description of every door."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from ninja import NinjaAPI
from ninja.security.http import HttpAuthBase

from campaigns.api import router as campaigns_router
from catalog.api import router as catalog_router
from engage.collector import access
from engage.collector.access import Access
from engage.collector.formats.event import KINDS, Event, Moment, Object, Word
from engage.lib.api import install_handlers
from engage.profiles.api import router as profiles_router
from recommendations.api import router as recommendations_router

VERSION: Final = "1"
ABOUT: Final = (
    "Events come in by the Segment format, apps ask for their in-app messages at launch "
    "and for their inbox, and servers keep catalogs, profiles and recommendations. Every error is "
    '`{"success": false, "code", "message", "detail"}`.'
)


class ServerKey(HttpAuthBase):
    """A server key as bearer, or as the user of Basic authorization."""

    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Access:
        return access.open_to_servers(request)


api = NinjaAPI(
    title="Engage",
    version=VERSION,
    description=ABOUT,
    auth=ServerKey(),
    docs_url=None,
    openapi_url=None,
    urls_namespace="management",
)
for router in (catalog_router, recommendations_router, profiles_router, campaigns_router):
    api.add_router("", router)
install_handlers(api)


# --- the description -------------------------------------------------------------------------


def docs(request: HttpRequest) -> HttpResponse:
    """The page; it loads nothing from elsewhere."""
    settings = {
        "url": reverse("openapi"),
        "layout": "BaseLayout",
        "deepLinking": True,
        "validatorUrl": None,  # else the page asks a service on the internet
    }
    return render(request, "docs.html", {"settings": settings})


def openapi(request: HttpRequest) -> HttpResponse:
    return JsonResponse(describe())


@cache
def describe() -> dict[str, Any]:
    """OpenAPI of the management API, with the doors of apps added to it."""
    schema: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(api.get_openapi_schema()))
    schema["paths"] = {**sdk_paths(), **schema["paths"]}
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(sdk_schemas())
    components.setdefault("securitySchemes", {})["WriteKey"] = {
        "type": "http",
        "scheme": "basic",
        "description": "The write key as user, no password; or as writeKey in the body.",
    }
    return schema


def sdk_paths() -> dict[str, Any]:
    paths = {"/v1/batch": sdk_door("Take a batch of events", body="Batch", answer="Taken")}
    for kind in sorted(KINDS):
        paths[f"/v1/{kind}"] = sdk_door(f"Take one {kind} event", body="Event", answer="Taken")
    paths["/v1/app-launch"] = sdk_door(
        "Take the events of an app that opens, answer with its in-app messages",
        body="Launch",
        answer="Launched",
    )
    paths["/v1/inbox"] = inbox_door()
    return paths


def inbox_door() -> dict[str, Any]:
    """Its parameters stand in the address."""
    refused = {"description": "Refused", "content": content("Error")}
    asked = {
        "userId": TEXT,
        "anonymousId": TEXT,
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        "before": TEXT,
    }
    return {
        "get": {
            "tags": ["apps"],
            "summary": "The messages that wait for a person, the newest first",
            "security": [{"WriteKey": []}],
            "parameters": [
                {"name": name, "in": "query", "schema": schema} for name, schema in asked.items()
            ],
            "responses": {
                "200": {"description": "What waits", "content": content("Inbox")},
                **dict.fromkeys(("400", "401", "503"), refused),
            },
        }
    }


def sdk_door(summary: str, *, body: str, answer: str) -> dict[str, Any]:
    refused = {"description": "Refused whole", "content": content("Error")}
    return {
        "post": {
            "tags": ["apps"],
            "summary": summary,
            "security": [{"WriteKey": []}],
            "requestBody": {"required": True, "content": content(body)},
            "responses": {
                "200": {"description": "What was taken", "content": content(answer)},
                **dict.fromkeys(("400", "401", "413", "429", "503"), refused),
            },
        }
    }


def content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": refer(name)}}


def refer(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


WORD: Final = {"type": ["string", "integer", "null"]}
MOMENT: Final = {"type": ["string", "number", "null"], "description": "ISO 8601"}
OBJECT: Final = {"type": ["object", "null"]}
TEXT: Final = {"type": "string"}
COUNT: Final = {"type": "integer"}
SHOWN: Final[Mapping[Any, Mapping[str, Any]]] = {
    Word: WORD,
    Moment: MOMENT,
    Object | None: OBJECT,
    str | None: {"type": ["string", "null"]},
}


def sdk_schemas() -> dict[str, Any]:
    event = {field.encode_name: SHOWN[field.type] for field in msgspec.structs.fields(Event)} | {
        "type": {"enum": sorted(KINDS)}
    }
    who = {"userId": WORD, "anonymousId": WORD}
    said_for_all = {"context": OBJECT, "sentAt": MOMENT, "writeKey": {"type": ["string", "null"]}}
    rejection = {"index": COUNT, "code": TEXT, "message": TEXT}
    taken = {"accepted": COUNT, "rejected": {"type": "array", "items": record(rejection)}}
    waiting = {
        **dict.fromkeys(
            ("id", "campaign", "content_type", "token", "created_at", "expires_at"), TEXT
        ),
        "content": {"type": "object"},
        "read": {"type": "boolean"},
        "clicked": {"type": "boolean"},
    }
    return {
        "Event": record(event),
        "Batch": record({"batch": many("Event"), **who, **said_for_all}, needed=["batch"]),
        "Launch": record({**who, "device": OBJECT, "batch": many("Event"), **said_for_all}),
        "Taken": record({"success": {"type": "boolean"}, **taken}),
        "Launched": record(
            {
                "messages": {"type": "array", "items": {"type": "object"}},
                "stale": {"type": "array", "items": TEXT},
                **taken,
            }
        ),
        "Inbox": record(
            {
                "messages": {"type": "array", "items": record(waiting)},
                "unread": COUNT,
                "next": {"type": ["string", "null"]},
            }
        ),
        "Error": record(
            {"success": {"const": False}, "code": TEXT, "message": TEXT, "detail": TEXT}
        ),
    }


def record(properties: Mapping[str, Any], *, needed: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": needed or []}


def many(name: str) -> dict[str, Any]:
    return {"type": "array", "items": refer(name)}
