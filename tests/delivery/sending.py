"""A provider that needs no network, and messages on their way to it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from delivery import claiming, marking
from delivery.channels import registry
from delivery.drafts import (
    Accepted,
    Draft,
    EmailContent,
    InboxContent,
    PushContent,
    SmsContent,
    WebhookContent,
)
from delivery.models import Message
from delivery.results import judge
from tests.factories import NOON

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the standard
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class RecordingChannel:
    """Takes everything, unless `answers` has an outcome or an exception for the address."""

    batch_size = 10

    def __init__(self) -> None:
        self.calls: list[list[Draft]] = []
        self.answers: dict[str, object] = {}
        self.before_answering = lambda drafts: None

    def send(self, drafts):
        self.calls.append(list(drafts))
        self.before_answering(drafts)
        outcomes = [self.answers.get(d.address, Accepted(f"id-{d.address}")) for d in drafts]
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return outcomes

    @property
    def addresses(self) -> list[str]:
        return [draft.address for call in self.calls for draft in call]


class SharedRecordingChannel(RecordingChannel):
    """As push: two providers, told apart by the beginning of the address."""

    providers = ("fcm", "apns")

    def provider_of(self, draft):
        return "apns" if draft.address.startswith("iphone") else "fcm"

    def sent_to(self, provider: str) -> int:
        return sum(self.provider_of(draft) == provider for call in self.calls for draft in call)


def use_channel(channel, *, name: str = "email"):
    registry._made()[name] = channel
    return channel


def email_content(**fields: object) -> EmailContent:
    defaults: dict[str, object] = {
        "subject": "Hello",
        "html": "<p>Hello</p>",
        "text": "Hello",
        "sender": "Shop <shop@shop.example>",
    }
    return EmailContent(**(defaults | fields))


def push_content(**fields: object) -> PushContent:
    return PushContent(**({"title": "Hello", "body": "Look at this"} | fields))


def sms_content(**fields: object) -> SmsContent:
    return SmsContent(**({"text": "Hello"} | fields))


def webhook_content(**fields: object) -> WebhookContent:
    return WebhookContent(**({"body": b'{"hello": "world"}', "secrets": [SECRET]} | fields))


def inbox_content(**fields: object) -> InboxContent:
    defaults: dict[str, object] = {
        "campaign_id": 1,
        "content": {"title": {"text": "Hello"}, "items": []},
        "token": "signed",
        "expires_at": NOON + timedelta(hours=24),
    }
    return InboxContent(**(defaults | fields))


def make_draft(message: Message, *, address: str = "ann@shop.example", **fields: object) -> Draft:
    content = push_content() if message.channel == "push" else email_content()
    return Draft(
        message_id=message.id,
        key=message.key,
        address=address,
        **({"content": content} | fields),
    )


def compose_for(addresses: dict[int, str]):
    """A composer that knows the address of each profile."""
    return lambda messages: [make_draft(m, address=addresses[m.profile_id]) for m in messages]


def claim(*, channel: str = "email", limit: int = 100, now: datetime = NOON, **fields: object):
    return claiming.claim(channel=channel, limit=limit, now=now, **fields)


def mark(messages, *, address: str = "ann@shop.example", token: UUID | None = None, now=NOON):
    """The decisions of the mark, in the order of the messages; None where it found no row."""
    drafts = [make_draft(message, address=address) for message in messages]
    marked = marking.mark(
        messages, drafts, token=token or messages[0].lease_token, call_seconds=20, now=now
    )
    return [marked.decisions.get(message.id) for message in messages]


def record(message, outcome, *, attempt: int = 1, token: UUID | None = None, now=NOON) -> int:
    """How many results came too late (0 or 1)."""
    result = judge(message, outcome, attempt=attempt, now=now)
    return marking.record(
        [message],
        [result],
        token=token or message.lease_token,
        attempts=[attempt],
        started_at=now,
        now=now,
    )


def end_leases() -> None:
    """As if every lease had run out by the database's clock."""
    Message.objects.filter(lease_until__isnull=False).update(lease_until=LONG_AGO)
