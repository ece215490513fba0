"""HTTP for machines: bodies within bounds, answers in JSON, one shape for every error."""

import logging
import zlib
from collections.abc import Callable, Mapping
from functools import partial, wraps
from http import HTTPStatus
from typing import Any, Concatenate, Final

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, AuthorizationError, HttpError, ValidationError
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import TimeoutError as RedisSlow

from engage.lib.errors import EngageError, NotFound, Unavailable

logger = logging.getLogger(__name__)

# The one table of HTTP numbers. A code that is not here is a refusal of what came in: 400.
STATUS: Final[Mapping[str, int]] = {
    "invalid_write_key": 401,
    "invalid_server_key": 401,
    "server_key_needed": 403,
    "forged_receipt": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "unreadable_body": 400,
    "body_too_large": 413,
    "too_many_events": 413,
    "unsupported_encoding": 415,
    "queue_full": 429,
    "internal_error": 500,
    "unavailable": 503,
    # of rooms
    "unknown_catalog": 404,
    "unknown_item": 404,
    "build_running": 409,
    "campaign_not_ready": 409,
    "channel_not_configured": 409,
    "illegal_move": 409,
    "key_reused": 409,
    "nothing_to_learn": 409,
    "nothing_to_roll_back": 409,
    "too_many_removed": 409,
    "upload_refused": 409,
    "catalog_busy": 503,
    "channel_unavailable": 503,
    "damaged_artifact": 503,
    "history_damaged": 503,
}
RETRY_AFTER_SECONDS: Final = {429: 5, 503: 5}
PREFLIGHT: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding, X-Retry-Count",
    "Access-Control-Max-Age": "86400",
}
EXPOSED: Final = "Retry-After, X-RateLimit-Reset"
ENCODERS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}  # zlib's window bits
DISCARD_BYTES: Final = 8_000_000
JSON: Final = "application/json"

View = Callable[Concatenate[HttpRequest, ...], HttpResponse]


class BodyTooLarge(EngageError):
    code = "body_too_large"


class UnsupportedEncoding(EngageError):
    code = "unsupported_encoding"


class UnreadableBody(EngageError):
    code = "unreadable_body"


class MethodNotAllowed(EngageError):
    code = "method_not_allowed"


# --- answers ---------------------------------------------------------------------------------


def respond(data: object, *, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(data), content_type=JSON, status=status)


def refuse(error: EngageError) -> HttpResponse:
    """The answer that a refusal becomes."""
    return refusal(error.code, error.message, detail=error.detail)


def refusal(
    code: str, message: str, *, detail: str = "", status: int | None = None
) -> HttpResponse:
    """The one shape of every error; clients read `code`, `message` or `detail`."""
    number = status or STATUS.get(code, 400)
    body = {"success": False, "code": code, "message": message, "detail": detail or message}
    response = respond(body, status=number)
    if seconds := RETRY_AFTER_SECONDS.get(number):
        response["Retry-After"] = str(seconds)
        response["X-RateLimit-Reset"] = str(seconds)
    return response


def broken(exc: BaseException) -> HttpResponse:
    """The answer to what nobody foresaw; a store that is away is 503, never 500."""
    if isinstance(exc, RedisAway | RedisSlow | OperationalError | InterfaceError):
        logger.warning("a store is away", extra={"error": type(exc).__name__})
        return refuse(Unavailable("A store is away. Try again later."))
    logger.error("a request failed", exc_info=exc)
    return refusal("internal_error", "Something broke here. It was logged; try again later.")


def for_machines(view: View) -> View:
    """A view whose errors have the shape of ours; open to browsers of every origin."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "OPTIONS":
            return HttpResponse(headers=PREFLIGHT, content_type=JSON)
        try:
            response = view(request, *args, **kwargs)
        except EngageError as exc:
            response = refuse(exc)
        except Http404:
            response = refuse(NotFound("There is nothing here."))
        except Exception as exc:
            response = broken(exc)
        response["Access-Control-Allow-Origin"] = "*"
        if response.status_code >= 400:
            response["Access-Control-Expose-Headers"] = EXPOSED
            # Django would log each refusal: a client that retries must not fill the log.
            response._has_been_logged = True  # type: ignore[attr-defined]
        return response

    guarded.csrf_exempt = True  # type: ignore[attr-defined]
    return guarded


# --- bodies ----------------------------------------------------------------------------------


def read_body(request: HttpRequest, *, limit: int) -> bytes:
    """The body, unpacked if it is compressed, whatever its Content-Type says.

    Raises
    ------
    BodyTooLarge, UnsupportedEncoding, UnreadableBody
        Nothing beyond `limit` bytes was kept in memory.
    """
    meta = request.META
    encoding = meta.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    raw = read_raw(request, limit=limit)
    if encoding in {"", "identity"}:
        return raw
    if encoding not in ENCODERS:
        raise UnsupportedEncoding(f"Content-Encoding is {encoding[:40]!r}; gzip is understood.")
    return unpack(raw, window=ENCODERS[encoding], limit=limit)


def read_raw(request: HttpRequest, *, limit: int) -> bytes:
    meta = request.META
    try:
        length = int(meta.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > limit:
        discard(meta["wsgi.input"], length)
        raise too_large(limit)
    try:
        if "HTTP_TRANSFER_ENCODING" in meta:  # no length is known; Django would read nothing
            raw = bytes(meta["wsgi.input"].read(limit + 1))
        else:
            raw = request.body
    except RequestDataTooBig as exc:
        raise too_large(limit) from exc
    except (UnreadablePostError, OSError) as exc:
        raise UnreadableBody("The body ended before its announced length.") from exc
    if len(raw) > limit:
        raise too_large(limit)
    if len(raw) < length:
        raise UnreadableBody("The body ended before its announced length.")
    return raw


def discard(source: Any, length: int) -> None:
    """Read what is refused anyway: a client that still writes would not see the answer."""
    left = min(length, DISCARD_BYTES)
    try:
        while left > 0 and (part := source.read(min(left, 65_536))):
            left -= len(part)
    except OSError:  # it went away, and needs no answer
        return


def unpack(raw: bytes, *, window: int, limit: int) -> bytes:
    """Never more than `limit` bytes, however small the packed body is."""
    inflater = zlib.decompressobj(window)
    try:
        body = inflater.decompress(raw, limit + 1)
    except zlib.error as exc:
        raise UnreadableBody("The body cannot be unpacked.", detail=str(exc)) from exc
    if len(body) > limit:
        raise too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise UnreadableBody("The packed body is cut short, or something follows it.")
    return body


def too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit:,} bytes. Send less at a time.")


# --- django-ninja ----------------------------------------------------------------------------


def install_handlers(api: NinjaAPI) -> None:
    """Give every error of a NinjaAPI the shape of ours."""
    answers: dict[type[Exception], Callable[[Any], HttpResponse]] = {
        EngageError: refuse,
        Http404: lambda _: refuse(NotFound("There is nothing here.")),
        ValidationError: invalid,
        AuthenticationError: lambda _: refusal(
            "invalid_server_key", "This needs a valid server key."
        ),
        AuthorizationError: lambda _: refusal("server_key_needed", "This key may not do that."),
        HttpError: http_error,
        RequestDataTooBig: lambda _: refuse(too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)),
        Exception: broken,
    }
    for error, answer in answers.items():
        api.add_exception_handler(error, partial(_answer_with, answer))


def _answer_with(answer: Callable[[Any], HttpResponse], request: HttpRequest, exc: Any) -> Any:
    return answer(exc)


def invalid(exc: ValidationError) -> HttpResponse:
    """Every field that is wrong, in one sentence each."""
    faults = [
        f"{'.'.join(str(part) for part in fault.get('loc', ()))}: {fault.get('msg', 'is invalid')}"
        for fault in exc.errors
    ]
    first = faults[0] if faults else "The request is invalid."
    return refusal("invalid_input", first, detail="; ".join(faults))


def http_error(exc: HttpError) -> HttpResponse:
    named = HTTPStatus(exc.status_code).name.lower()
    code = "unreadable_body" if exc.status_code == 400 else named
    why = f": {exc.__cause__}." if exc.__cause__ else ""  # of a body that is no JSON, and where
    return refusal(code, f"{exc}{why}", status=exc.status_code)
