"""The doors of providers. A receipt that nobody signed is worth nothing."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.html import escape

from delivery import answers, esps, receipts
from delivery.hooks import signed, twilio
from delivery.sms_words import Wish
from engage.lib import clock
from engage.lib.api import MethodNotAllowed, for_machines, read_raw, refusal, respond
from engage.lib.errors import NotFound

MOST_BYTES = 1_000_000
TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>'


def is_open(provider: str) -> bool:
    """Whether receipts of the provider could be told from forged ones."""
    secrets = {"engage": bool(settings.HOOK_SECRET), "twilio": bool(settings.SMS_TOKEN)}
    if settings.EMAIL_ESP:
        secrets[settings.EMAIL_ESP] = esps.may_hear()
    return secrets.get(provider, False)


@for_machines
def hook(request: HttpRequest, provider: str, token: str = "") -> HttpResponse:
    """200 as soon as all is written down; any error means: send it again.

    `token`: of the one message that a status is about.
    """
    if not is_open(provider) or (token and provider != "twilio"):
        raise NotFound("There is nothing here.")
    if request.method == "HEAD":  # how some services try an address out
        return HttpResponse()
    if request.method != "POST":
        raise MethodNotAllowed("Receipts are posted.")
    body = read_raw(request, limit=MOST_BYTES)
    if provider == "twilio":
        return _twilio(request, body, token=token)
    now = clock.now()
    if provider == "engage":
        signed.check(body, request.headers, secret=settings.HOOK_SECRET, now=now)
        return respond(receipts.take(signed.read(body, now=now), now=now)._asdict())
    if settings.ANYMAIL_WEBHOOK_SECRET and "Authorization" not in request.headers:
        return _ask_for_password()
    from delivery.hooks import esp  # and with it anymail, where a service is named

    request._body = body  # of one that comes in chunks Django itself reads nothing
    return respond(receipts.take(esp.read(request, now=now), now=now)._asdict())


def _ask_for_password() -> HttpResponse:
    """Amazon's messages bring the password of their address only when they are asked."""
    response = refusal("forged_receipt", "A user and a password are expected.", status=401)
    response["WWW-Authenticate"] = 'Basic realm="receipts"'
    return response


def _twilio(request: HttpRequest, body: bytes, *, token: str) -> HttpResponse:
    form = twilio.read_form(
        body,
        url=settings.PUBLIC_URL + request.get_full_path(),
        signature=request.headers.get("X-Twilio-Signature", ""),
        token=settings.SMS_TOKEN,
    )
    now = clock.now()
    if token or not twilio.is_answer(form):
        said = twilio.read_status(form, token=token, now=now)
        receipts.take([said] if said else [], now=now)
        return HttpResponse(status=204)
    # Words that the shop chose at the provider, in any language; it answers them itself then.
    known_there = form.get("OptOutType", "")
    wish = answers.take(
        known_there or form.get("Body", ""),
        number=form.get("From", ""),
        event=f"sms:{form.get('MessageSid', '')}",
        now=now,
    )
    ours = wish == Wish.HELP and not known_there
    text = f"<Message>{escape(settings.SMS_HELP)}</Message>" if ours else ""
    return HttpResponse(TWIML.format(text), content_type="text/xml")
