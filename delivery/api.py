"""The doors of recipients: clicks, opens, and the way out. A GET never changes a subscription."""

import logging
from collections.abc import Callable
from typing import Final

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils.encoding import iri_to_uri
from django.views.decorators.csrf import csrf_exempt

from delivery import preferences, tracking
from delivery.links import WayOut
from delivery.machines import is_machine
from delivery.schemas import read_preferences
from delivery.tracking import Left
from engage.lib import clock
from engage.lib.api import BodyTooLarge, UnreadableBody, read_raw
from engage.lib.errors import InvalidInput

logger = logging.getLogger(__name__)

PIXEL: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
HEADERS: Final = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
PAGE_HEADERS: Final = {
    **HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
}
LARGEST_FORM: Final = 65_536  # bytes; files and all
NO_CHARSET: Final = (LookupError, UnicodeError)  # what the Content-Type names may be no charset
View = Callable[[HttpRequest, str], HttpResponse]


def only(*methods: str) -> Callable[[View], View]:
    """Other methods get a 405, everybody a 503 while the database is away. No cookies are read
    here, so there is nothing to forge."""

    def decorate(view: View) -> View:
        @csrf_exempt
        def checked(request: HttpRequest, token: str) -> HttpResponse:
            if request.method not in methods:
                return HttpResponse(status=405, headers={"Allow": ", ".join(methods)})
            try:
                return view(request, token)
            except (OperationalError, InterfaceError) as exc:
                logger.warning("the database is away", extra={"error": type(exc).__name__})
                response = _page("away", None, status=503)
                response["Retry-After"] = "60"
                response._has_been_logged = True  # type: ignore[attr-defined]  # once is enough
                return response

        return checked

    return decorate


@only("GET", "HEAD")
def click(request: HttpRequest, token: str) -> HttpResponse:
    machine = is_machine(request.method or "", request.headers)
    target = tracking.click(token, machine=machine, now=clock.now())
    if target is None:
        return _unknown()
    # A header holds ASCII: browsers read other letters of an address in percents.
    return HttpResponse(status=302, headers={**HEADERS, "Location": iri_to_uri(target)})


@only("GET", "HEAD")
def opened(request: HttpRequest, token: str) -> HttpResponse:
    machine = is_machine(request.method or "", request.headers)
    known = tracking.open_message(token, machine=machine, now=clock.now())
    return HttpResponse(
        PIXEL, content_type="image/gif", status=200 if known else 404, headers=HEADERS
    )


@only("GET", "HEAD", "POST")
def trap(request: HttpRequest, token: str) -> HttpResponse:
    """Where a link leads that no person sees."""
    known = tracking.trap(token, now=clock.now())
    return _page("nothing", None) if known else _unknown()


@only("GET", "HEAD", "POST")
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a page with buttons, because scanners follow links. POST is the deed: of a button,
    or of a mailbox provider with "List-Unsubscribe=One-Click" (RFC 8058), which leaves."""
    if request.method != "POST":
        way_out = tracking.read_way_out(token)
        return _preferences(way_out) if way_out else _unknown()
    try:
        sent = _read_form(request)
    except UnreadableBody:  # half of a form: perhaps of somebody who wants to stay
        return HttpResponse(status=400, headers=HEADERS)
    if "do" in sent:
        way_out = tracking.read_way_out(token)
        return _choose(way_out, sent) if way_out else _unknown()
    left = tracking.unsubscribe(token, now=clock.now())
    return _page("unsubscribed", left) if left else _unknown()


def _read_form(request: HttpRequest) -> QueryDict:
    """A mailbox provider's click counts, whatever it has in its body.

    Raises UnreadableBody when that did not come to its end.
    """
    try:
        request._body = read_raw(request, limit=LARGEST_FORM)
        return request.POST
    except (BodyTooLarge, MultiPartParserError, SuspiciousOperation, BadRequest, *NO_CHARSET):
        return QueryDict()


def _choose(way_out: WayOut, sent: QueryDict) -> HttpResponse:
    now, wish, length = clock.now(), sent["do"], preferences.PAUSES.get(sent.get("length", ""))
    try:
        if wish == "save":
            preferences.save(way_out, read_preferences(sent), now=now)
        elif wish == "pause" and length is not None:
            preferences.pause(way_out, length=length, now=now)
        elif wish == "resume":
            preferences.pause(way_out, length=None, now=now)
        elif wish == "return":
            preferences.come_back(way_out, now=now)
        elif wish == "leave":
            preferences.leave_everything(way_out, now=now)
            return _page("unsubscribed", Left("", ""))
        else:
            raise InvalidInput("We did not understand that. Please choose again.")
    except InvalidInput as exc:
        return _preferences(way_out, note=exc.message, status=400)
    return _preferences(way_out, note="Saved. Thank you for telling us.")


def _preferences(way_out: WayOut, *, note: str = "", status: int = 200) -> HttpResponse:
    context = {
        "channel": Left(way_out.channel, ""),
        "wishes": preferences.read(way_out, now=clock.now()),
        "numbers": preferences.MOST_A_WEEK,
        "note": note,
    }
    return _page("unsubscribe", way_out, status=status, **context)


def _page(name: str, about: object, *, status: int = 200, **more: object) -> HttpResponse:
    text = render_to_string(f"delivery/{name}.html", {"about": about, **more})
    return HttpResponse(text, status=status, headers=PAGE_HEADERS)


def _unknown() -> HttpResponse:
    return _page("unknown_link", None, status=404)
