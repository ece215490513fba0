"""What an SMS provider in Twilio's shape tells: what became of messages, what people answer."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from delivery import links
from delivery.errors import ForgedReceipt
from delivery.receipts import Kind, Said
from engage.lib.errors import InvalidInput, NotFound

MOST_FIELDS: Final = 200
STATUS: Final = {
    "delivered": Kind.DELIVERED,
    "undelivered": Kind.FAILED,
    "failed": Kind.FAILED,
}
# https://www.twilio.com/docs/api/errors, read 2026-11
ERRORS: Final = {
    "21610": Kind.OPTED_OUT,  # they sent STOP
    "21211": Kind.BOUNCED,
    "21614": Kind.BOUNCED,
    "30005": Kind.BOUNCED,  # nobody has the number
    "30006": Kind.BOUNCED,  # a landline
}
Fields = Sequence[tuple[str, str]]


def read_form(body: bytes, *, url: str, signature: str, token: str) -> dict[str, str]:
    """The form, when whoever knows `token` sent it to `url`. Raises ForgedReceipt."""
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError as exc:
        raise InvalidInput("The form cannot be read.") from exc
    if not hmac.compare_digest(sign(url, fields, token=token).encode(), signature.encode()):
        raise ForgedReceipt("The signature is not that of the provider.")
    return dict(fields)


def sign(url: str, fields: Fields, *, token: str) -> str:
    """HMAC-SHA1 over the address and all fields, sorted; a field that comes twice counts once."""
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def is_answer(form: Mapping[str, str]) -> bool:
    return form.get("SmsStatus") == "received" or "MessageStatus" not in form


def read_status(form: Mapping[str, str], *, token: str, now: datetime) -> Said | None:
    """None while nothing is final. `token`: of the address that we gave with the message."""
    kind = STATUS.get(form.get("MessageStatus", ""))
    recipient = links.read_status(token) if token else None
    if token and recipient is None:
        raise NotFound("There is nothing here.")
    if kind is None:
        return None
    code = form.get("ErrorCode", "")
    if kind == Kind.FAILED:
        kind = ERRORS.get(code, kind)
    return Said(
        provider="twilio",
        channel="sms",
        kind=kind,
        ts=now,  # the form says none
        profile_id=recipient.profile_id if recipient else None,
        message_id=recipient.message_id if recipient else None,
        provider_id=form.get("MessageSid", "")[:255],
        address=form.get("To", ""),
        detail=f"sms_{code}" if code.isdecimal() else form["MessageStatus"],
        event=form.get("MessageSid", ""),
    )
