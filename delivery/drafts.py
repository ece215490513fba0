"""What a channel gets, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailContent:
    """`sender` is "Name <address>"; `headers` are extra ones, cleaned by the channel."""

    subject: str
    html: str
    text: str
    sender: str
    headers: Mapping[str, str] = field(default_factory=dict)
    unsubscribe_url: str = ""  # becomes List-Unsubscribe, one-click


@dataclass(frozen=True, slots=True, kw_only=True)
class PushContent:
    title: str
    body: str
    image: str = ""
    link: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    ttl_seconds: int | None = None  # how long the provider keeps it for a device that is away


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsContent:
    text: str
    status_url: str = ""  # where the provider tells what became of it; empty: nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookContent:
    """`body` is JSON. Each secret ("whsec_…") signs it, so a receiver may know any of them."""

    body: bytes
    secrets: Sequence[str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxContent:
    """`content` is what the app draws, in the shape of in-app messages; `token` tells of it."""

    campaign_id: int
    content: Mapping[str, object]
    token: str
    expires_at: datetime
    content_type: str = ""


Content = EmailContent | PushContent | SmsContent | WebhookContent | InboxContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A rendered message on its way to one address; `key` is the same on every try."""

    message_id: UUID
    key: UUID
    address: str
    content: Content
    platform: str = ""  # of a device, as its app says it: "ios", "android"
    items: Sequence[Mapping[str, object]] = ()  # what the slots showed, for the ledger
    worth: float = 0.0  # what is expected of them, for a choice between messages


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it."""

    provider_id: str = ""


OPTED_OUT: Final = "opted_out"


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will never take it. `gone`: the address is no more.

    With the reason OPTED_OUT its owner closed it at the provider, and may open it again.
    `gone_ms`: when it ended, where the provider says so; an address that came later is another.
    """

    reason: str
    gone: bool = False
    gone_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TryLater:
    """Certainly not sent, and the provider may take it later.

    `everybody`: the reason lies with the provider, not with this recipient.
    """

    reason: str
    retry_after_seconds: float | None = None
    everybody: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Handed over, and the answer never came.

    `everybody`: the provider had all its time or broke, so that the reason lies with it.
    """

    reason: str
    everybody: bool = False


Outcome = Accepted | Refused | TryLater | Unknown
