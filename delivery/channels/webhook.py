"""Webhooks by Standard Webhooks 1.0: signed JSON to a receiver that somebody else runs."""

import base64
import hmac
import logging
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.conf import settings

from delivery.drafts import Accepted, Draft, Outcome, Refused, TryLater, Unknown, WebhookContent
from engage.lib import clock
from engage.lib.http import CONTROL, NoAnswer, Request, Response, retry_after_seconds
from engage.lib.outbound import Forbidden, OutboundDoor

logger = logging.getLogger(__name__)

LARGEST_BODY: Final = 65_536  # bytes; the standard asks for less than 20 KB
MOST_ANSWER_BYTES: Final = 16_384  # which nobody reads
PREFIX: Final = "whsec_"
NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OURS: Final = {"host", "content-type", "content-length", "user-agent", "expect", "connection"}


class WebhookChannel:
    batch_size = 20

    def __init__(self) -> None:
        self.door = OutboundDoor()

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        now = clock.now()
        refused = {place: found for place, d in enumerate(drafts) if (found := check(d))}
        wanted = [draft for place, draft in enumerate(drafts) if place not in refused]
        answers = iter(
            self.door.fetch(
                [encode(draft, now=now) for draft in wanted],
                timeout_seconds=settings.PROVIDER_TIMEOUT_SECONDS,
                most_bytes=MOST_ANSWER_BYTES,
            )
            if wanted
            else []
        )
        return [refused.get(place) or judge(next(answers)) for place in range(len(drafts))]

    def close(self) -> None:
        self.door.close()


def check(draft: Draft) -> Refused | None:
    content = draft.content
    if not isinstance(content, WebhookContent) or not draft.address:
        return Refused("invalid_address")
    if not content.secrets:
        return Refused("no_secret")
    if len(content.body) > LARGEST_BODY:
        return Refused("payload_too_large")
    for name, value in content.headers.items():
        lower = name.lower()
        taken = lower in OURS or lower.startswith("webhook-")
        if taken or not NAME.fullmatch(name) or CONTROL.search(value) or not value.isascii():
            return Refused("invalid_header")
    return None


def encode(draft: Draft, *, now: datetime) -> Request:
    """The id is the same on every try: a receiver drops what it had. The time is this try's."""
    content = draft.content
    assert isinstance(content, WebhookContent)  # noqa: S101 - checked by `check`
    stamp = str(int(now.timestamp()))
    signed = f"{draft.key}.{stamp}.".encode() + content.body
    return Request(
        url=draft.address,
        body=content.body,
        headers=[
            "Content-Type: application/json",
            "User-Agent: Engage",
            f"webhook-id: {draft.key}",
            f"webhook-timestamp: {stamp}",
            "webhook-signature: " + " ".join(sign(signed, secret) for secret in content.secrets),
            *(f"{name}: {value}" for name, value in content.headers.items()),
        ],
    )


def sign(signed: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def judge(answer: Response | NoAnswer | Forbidden) -> Outcome:
    """Never `everybody`: one receiver that is away says nothing about the others.

    An answer that is too long, or breaks off, follows a request that was read: not known.
    """
    if isinstance(answer, Forbidden):
        logger.warning("webhook leads where it must not", extra={"reason": answer.reason})
        return Refused(answer.reason)
    if isinstance(answer, NoAnswer):
        return Unknown(answer.reason) if answer.sent else TryLater(answer.reason)
    reason = f"http_{answer.status}"
    if 200 <= answer.status < 300:
        return Accepted()
    if answer.status == 410:
        return Refused(reason, gone=True)
    if answer.status in {408, 425, 429} or answer.status >= 500:
        return TryLater(reason, retry_after_seconds(answer, now=clock.now()))
    return Refused(reason)  # a redirect is never followed; other answers will not change
