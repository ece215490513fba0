"""The doors of recipients: clicks, opens, and the way out. A GET never changes a subscription."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.encoding import iri_to_uri
from django.views.decorators.csrf import csrf_exempt

from delivery import tracking
from delivery.machines import is_machine
from engage.lib import clock

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
View = Callable[[HttpRequest, str], HttpResponse]


def only(*methods: str) -> Callable[[View], View]:
    """Other methods get a 405. No cookies are read here, so there is nothing to forge."""

    def decorate(view: View) -> View:
        @csrf_exempt
        def checked(request: HttpRequest, token: str) -> HttpResponse:
            if request.method not in methods:
                return HttpResponse(status=405, headers={"Allow": ", ".join(methods)})
            return view(request, token)

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
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a page with a button, because scanners follow links. POST is the deed: from the
    button, or from a mailbox provider with "List-Unsubscribe=One-Click" (RFC 8058)."""
    if request.method == "POST":
        left = tracking.unsubscribe(token, now=clock.now())
        return _page("unsubscribed", left) if left else _unknown()
    way_out = tracking.read_way_out(token)
    return _page("unsubscribe", way_out) if way_out else _unknown()


def _page(name: str, about: object, *, status: int = 200) -> HttpResponse:
    text = render_to_string(f"delivery/{name}.html", {"about": about})
    return HttpResponse(text, status=status, headers=PAGE_HEADERS)


def _unknown() -> HttpResponse:
    return _page("unknown_link", None, status=404)
