"""Receipts of anybody's relay: JSON, signed by Standard Webhooks 1.0 with a secret of ours."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from delivery.errors import ForgedReceipt
from delivery.policy import TO_DEVICES
from delivery.receipts import MOST, TO_ADDRESSES, Kind, Said, find_key
from engage.lib.errors import InvalidInput

PREFIX: Final = "whsec_"
LONGEST_AGE_SECONDS: Final = 300  # older or younger is a replay, or a wrong clock
SECONDS: Final = re.compile(r"[0-9]{1,12}")  # a longer number is no time, and may be endless
KINDS: Final = {str(kind): kind for kind in Kind}


class Line(msgspec.Struct, kw_only=True):
    kind: str
    channel: str = "email"
    message_id: str = ""  # the Message-ID we gave the mail, or the key in it; of a push, its id
    provider_id: str = ""
    address: str = ""
    ts: datetime | None = None
    detail: str = ""
    id: str = ""  # of what happened; tells a second opt-out from the first


decode: Final = msgspec.json.Decoder(list[Line]).decode


def read_secret(text: str) -> bytes:
    """The bytes of "whsec_…". Raises ValueError."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error as exc:
        raise ValueError("is no base64") from exc
    if not 24 <= len(secret) <= 64:  # the standard's bounds
        raise ValueError(f"has {len(secret)} bytes; 24 to 64 are expected")
    return secret


def check(body: bytes, headers: Mapping[str, str], *, secret: str, now: datetime) -> None:
    """Raises ForgedReceipt for what nobody signed, or signed more than five minutes ago."""
    stamp = headers.get("webhook-timestamp", "")
    signed_at = int(stamp) if SECONDS.fullmatch(stamp) else 0
    if abs(now.timestamp() - signed_at) > LONGEST_AGE_SECONDS:
        raise ForgedReceipt("The time of the signature is not that of now.")
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
    wanted = base64.b64encode(hmac.digest(read_secret(secret), signed, "sha256")).decode()
    given = headers.get("webhook-signature", "").split()[:10]
    if not any(hmac.compare_digest(one.encode(), f"v1,{wanted}".encode()) for one in given):
        raise ForgedReceipt("The signature is not ours.")


def read(body: bytes, *, now: datetime) -> list[Said]:
    try:
        lines = decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise InvalidInput(f"Expected a list of receipts: {exc}.") from exc
    if len(lines) > MOST:
        raise InvalidInput(f"At most {MOST} receipts come in one request.")
    for number, line in enumerate(lines):
        if line.kind not in KINDS:
            raise InvalidInput(f"[{number}].kind: expected one of {', '.join(KINDS)}.")
        if line.channel not in (*TO_ADDRESSES, *TO_DEVICES):
            raise InvalidInput(f"[{number}].channel: no receipts are taken for it.")
    return [
        Said(
            provider="engage",
            channel=line.channel,
            kind=KINDS[line.kind],
            ts=line.ts or now,
            key=find_key(line.message_id),
            provider_id=line.provider_id[:255],
            address=line.address,
            detail=line.detail,
            event=line.id,
        )
        for line in lines
    ]
