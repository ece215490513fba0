"""The inbox: our own database is the provider, and the app fetches what lies there."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from psycopg2.errors import QueryCanceled

from delivery import inbox
from delivery.drafts import Accepted, Draft, InboxContent, Outcome, Refused, TryLater, Unknown
from delivery.errors import ChannelUnavailable
from delivery.inbox import Entry
from engage.lib import clock

LARGEST_CONTENT: Final = 65_536  # bytes: about sixty products
NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")  # of a profile
AWAY: Final = (OperationalError, InterfaceError)
ERASED: Final = "erased"
BUSY: Final = "busy"


class InboxChannel:
    """Not known are only calls that broke off; repeated, they leave one message."""

    batch_size = 100

    def send(self, drafts: Sequence[Draft]) -> list[Outcome]:
        read = [encode(draft) for draft in drafts]
        answers = iter(put([entry for entry in read if isinstance(entry, Entry)]))
        return [one if isinstance(one, Refused) else next(answers) for one in read]


def encode(draft: Draft) -> Entry | Refused:
    content = draft.content
    if not isinstance(content, InboxContent) or not NUMBER.fullmatch(draft.address):
        return Refused("invalid_address")
    try:
        raw = msgspec.json.encode(content.content)
    except UnicodeEncodeError:  # half of a letter
        return Refused("invalid_content")
    if b"\\u0000" in raw:  # which the database does not store
        return Refused("invalid_content")
    if len(raw) > LARGEST_CONTENT:
        return Refused("payload_too_large")
    return Entry(
        profile_id=int(draft.address),
        message_id=draft.message_id,
        campaign_id=content.campaign_id,
        content_type=content.content_type,
        content=raw.decode(),
        token=content.token,
        expires_at=content.expires_at,
    )


def put(entries: Sequence[Entry]) -> list[Outcome]:
    if not entries:
        return []
    try:
        connection.ensure_connection()
    except AWAY as exc:
        raise ChannelUnavailable("the database cannot be reached") from exc
    try:
        stored = inbox.store(
            entries, timeout_seconds=settings.PROVIDER_TIMEOUT_SECONDS, now=clock.now()
        )
    except AWAY as exc:
        connection.close_if_unusable_or_obsolete()
        slow = isinstance(exc.__cause__, QueryCanceled)
        outcome = Unknown("timeout", everybody=True) if slow else Unknown("database_error")
        return [outcome] * len(entries)
    outcomes: list[Outcome] = []
    for entry in entries:
        if entry.profile_id in stored.gone:
            outcomes.append(Refused(ERASED, gone=True))
        elif entry.profile_id in stored.busy:
            outcomes.append(TryLater(BUSY))
        else:
            outcomes.append(Accepted())
    return outcomes
