"""SMS by an API in Twilio's shape: one form per message, many at once."""

import base64
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings

from delivery.channels.sms_text import LONGEST_TEXT, utf16_length
from delivery.drafts import (
    OPTED_OUT,
    Accepted,
    Draft,
    Outcome,
    Refused,
    SmsContent,
    TryLater,
    Unknown,
)
from delivery.errors import ChannelNotConfigured
from delivery.phones import find_number
from engage.lib import clock
from engage.lib.http import (
    DISOWNED,
    TIMEOUT,
    Door,
    NoAnswer,
    Request,
    Response,
    retry_after_seconds,
)

logger = logging.getLogger(__name__)

ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")  # a pool of senders
SENDER: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}|[0-9]{3,8}")  # name, short code
QUOTA_SECONDS: Final = 30.0  # to wait after 429 when the answer does not say
# https://www.twilio.com/docs/api/errors, read 2026-11
STOPPED: Final = {21610}
NO_NUMBER: Final = {21211, 21614, 21217}  # no such number, a landline
TOO_MANY: Final = {20429, 429, 14107, 30001, 30022}
OUR_FAULT: Final = {20003, 20005, 21606, 21603, 21212, 21659, 21660}  # account or sender


@dataclass(frozen=True, slots=True)
class Account:
    url: str
    name: str
    token: str = field(repr=False)
    sender: str


def read_account() -> Account:
    """The account of ENGAGE_SMS_…. Raises ChannelNotConfigured with what to write instead."""
    account = Account(
        settings.SMS_URL, settings.SMS_ACCOUNT, settings.SMS_TOKEN, settings.SMS_FROM
    )
    if not account.name:
        raise ChannelNotConfigured("ENGAGE_SMS_ACCOUNT is not set: the account at the provider")
    if not ACCOUNT.fullmatch(account.name):
        raise ChannelNotConfigured("ENGAGE_SMS_ACCOUNT: expected letters and digits, as in AC…")
    if not account.token:
        raise ChannelNotConfigured("ENGAGE_SMS_TOKEN is not set: the password of the account")
    known = find_number(account.sender) == account.sender != ""
    if (
        not known
        and not SERVICE.fullmatch(account.sender)
        and not SENDER.fullmatch(account.sender)
    ):
        raise ChannelNotConfigured(
            "ENGAGE_SMS_FROM: expected a number like +15551234567, a name of at most 11 letters,"
            " a short code or a messaging service (MG…)"
        )
    if not account.url.startswith("https://"):
        raise ChannelNotConfigured("ENGAGE_SMS_URL must begin with https://")
    return account


class SmsChannel:
    batch_size = 20

    def __init__(self) -> None:
        self.account = read_account()
        self.url = f"{self.account.url}/2010-04-01/Accounts/{self.account.name}/Messages.json"
        pair = f"{self.account.name}:{self.account.token}".encode()
        self.headers = [
            f"Authorization: Basic {base64.b64encode(pair).decode()}",
            "Content-Type: application/x-www-form-urlencoded",
        ]
        self.door = Door()

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        refused = {place: found for place, d in enumerate(drafts) if (found := check(d))}
        wanted = [draft for place, draft in enumerate(drafts) if place not in refused]
        requests = [
            Request(url=self.url, headers=self.headers, body=encode(draft, self.account.sender))
            for draft in wanted
        ]
        answers = iter(
            self.door.fetch(requests, timeout_seconds=settings.PROVIDER_TIMEOUT_SECONDS)
        )
        return [refused.get(place) or judge(next(answers)) for place in range(len(drafts))]

    def close(self) -> None:
        self.door.close()


def check(draft: Draft) -> Refused | None:
    content = draft.content
    if not isinstance(content, SmsContent) or not find_number(draft.address):
        return Refused("invalid_address")
    if not content.text.strip():
        return Refused("no_text")
    if utf16_length(content.text) > LONGEST_TEXT:
        return Refused("text_too_long")
    return None


def encode(draft: Draft, sender: str) -> bytes:
    content = draft.content
    assert isinstance(content, SmsContent)  # noqa: S101 - checked by `check`
    form = {
        "To": find_number(draft.address),
        "MessagingServiceSid" if SERVICE.fullmatch(sender) else "From": sender,
        "Body": content.text,
    }
    if content.status_url:
        form["StatusCallback"] = content.status_url
    return urlencode(form).encode()


def judge(answer: Response | NoAnswer) -> Outcome:
    """The provider's error number; the HTTP status only where there is none."""
    if isinstance(answer, NoAnswer):
        if answer.sent:
            return Unknown(answer.reason, everybody=answer.reason == TIMEOUT)
        return TryLater(answer.reason, everybody=answer.reason != DISOWNED)
    content = _read(answer.body)
    if 200 <= answer.status < 300:
        number = content.get("sid")
        return Accepted(number) if isinstance(number, str) else Unknown("malformed_answer")
    return _judge_refusal(answer, content.get("code"))


def _judge_refusal(answer: Response, said: object) -> Outcome:
    """Only 503 says that nothing was taken: after another 5xx the text may still go out."""
    code = said if isinstance(said, int) and not isinstance(said, bool) else None
    reason = f"http_{answer.status}" if code is None else f"sms_{code}"
    wait = retry_after_seconds(answer, now=clock.now())
    if code in STOPPED:  # the recipient sent STOP
        return Refused(OPTED_OUT, gone=True)
    if code in NO_NUMBER:
        return Refused(reason, gone=True)
    if code in TOO_MANY or answer.status == 429:
        return TryLater(reason, wait or QUOTA_SECONDS, everybody=True)
    if answer.status >= 500 and answer.status != 503:
        return Unknown(reason, everybody=True)
    # A redirect: the address of the API is wrong.
    if code in OUR_FAULT or answer.status in {401, 403, 404, 503} or answer.status // 100 == 3:
        logger.warning("SMS not taken", extra={"reason": reason})
        return TryLater(reason, wait, everybody=True)
    return Refused(reason)


def _read(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
