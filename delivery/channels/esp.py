"""E-mail by the API of an e-mail service: one request per mail, many at once.

Anymail writes the request in the service's words and reads its answer; our own door carries both,
so that a call has an end, is made once, and leaves by one connection.
"""

import logging
from collections.abc import Sequence
from typing import Any

import requests
from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from delivery import esps
from delivery.channels.mime import (
    LARGEST_MAIL,
    extra_headers,
    find_address,
    find_sender_address,
    one_line,
    split_sender,
    unsubscribe_headers,
)
from delivery.drafts import Accepted, Draft, EmailContent, Outcome, Refused, TryLater, Unknown
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

# What anymail's readers run into, where an answer is none of the service.
UNREADABLE = (
    AnymailError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
)  # fmt: skip
OUR_FAULT = {401, 402, 403, 404}  # key, account or address of the API: the same for everybody


class EspChannel:
    batch_size = 20

    def __init__(self) -> None:
        self.backend = esps.make_backend()
        self.door = Door()

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        written: dict[int, tuple[EmailMultiAlternatives, Any]] = {}
        wanted: list[Request] = []
        for place, draft in enumerate(drafts):
            mail = write_mail(draft)
            if isinstance(mail, Refused):
                outcomes[place] = mail
                continue
            try:
                payload = self.backend.build_message_payload(mail, self.backend.send_defaults)
                request = make_request(payload, self.backend.api_url)
            except (AnymailError, ValueError):
                logger.exception("mail not written", extra={"message_id": str(draft.message_id)})
                outcomes[place] = Refused("not_for_this_service")
                continue
            if len(request.body) > LARGEST_MAIL:
                outcomes[place] = Refused("payload_too_large")
                continue
            wanted.append(request)
            written[place] = (mail, payload)
        answers = self.door.fetch(wanted, timeout_seconds=settings.PROVIDER_TIMEOUT_SECONDS)
        for (place, (mail, payload)), answer in zip(written.items(), answers, strict=True):
            outcomes[place] = self.judge(answer, mail, payload)
        return [outcomes[place] for place in range(len(drafts))]

    def close(self) -> None:
        self.door.close()

    def judge(
        self, answer: Response | NoAnswer, mail: EmailMultiAlternatives, payload: Any
    ) -> Outcome:
        """What the service says of the one recipient.

        Only 429 and 503 say that it took nothing; after another 5xx nobody knows.
        """
        if isinstance(answer, NoAnswer):
            if answer.sent:
                return Unknown(answer.reason, everybody=answer.reason == TIMEOUT)
            return TryLater(answer.reason, everybody=answer.reason != DISOWNED)
        reason = f"http_{answer.status}"
        if answer.status in {429, 503} | OUR_FAULT or answer.status // 100 == 3:
            logger.warning("mail not taken", extra={"reason": reason})
            return TryLater(reason, retry_after_seconds(answer, now=clock.now()), everybody=True)
        if answer.status >= 500:
            return Unknown(reason, everybody=True)
        try:
            response = as_requests_has_it(answer)
            self.backend.raise_for_status(response, payload, mail)
            [status] = self.backend.parse_recipient_status(response, payload, mail).values()
        except UNREADABLE:
            taken = 200 <= answer.status < 300
            return Unknown("malformed_answer") if taken else Refused(reason)
        return judge_status(status.status, str(status.message_id or ""))


def judge_status(status: str | None, provider_id: str) -> Outcome:
    if status in {"sent", "queued"}:
        return Accepted(provider_id)
    if status == "invalid":
        return Refused("invalid_address", gone=True)
    if status == "rejected":  # on the service's own list: it bounced or complained before
        return Refused("rejected", gone=True)
    return Refused("failed") if status == "failed" else Unknown("malformed_answer")


def write_mail(draft: Draft) -> EmailMultiAlternatives | Refused:
    content, recipient = draft.content, find_address(draft.address)
    if recipient is None or not isinstance(content, EmailContent):
        return Refused("invalid_address")
    sender = find_sender_address(content.sender)
    if sender is None:
        return Refused("invalid_sender")
    try:
        headers = dict([*extra_headers(content), *unsubscribe_headers(content)])
    except ValueError:
        return Refused("invalid_header")
    headers["Message-ID"] = f"<{draft.key}@{sender.partition('@')[2]}>"
    mail = EmailMultiAlternatives(
        subject=whole(one_line(content.subject)),
        body=whole(content.text),
        from_email=formatted(content.sender, sender),
        to=[recipient],
        headers={name: whole(value) for name, value in headers.items()},
    )
    mail.attach_alternative(whole(content.html), "text/html")
    mail.metadata = {"key": str(draft.key)}  # type: ignore[attr-defined]  # comes back in hooks
    return mail


def formatted(sender: str, address: str) -> str:
    """The service itself encodes what is no ASCII."""
    name = whole(split_sender(sender)[0]).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{address}>' if name else address


def whole(text: str) -> str:
    """Half a character cannot travel."""
    return text.encode("utf-8", "replace").decode()


def make_request(payload: Any, api_url: str) -> Request:
    """The bytes that anymail would have had `requests` send."""
    made = requests.Request(**payload.get_request_params(api_url)).prepare()
    body: Any = made.body or b""
    headers = [(str(name), str(value)) for name, value in made.headers.items()]
    return Request(
        url=str(made.url),
        method=str(made.method),
        body=body.encode() if isinstance(body, str) else body,
        headers=[f"{name}: {value}" for name, value in headers if name != "Content-Length"],
    )


def as_requests_has_it(answer: Response) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.headers.update(answer.headers)
    response._content = answer.body
    return response
