"""What providers say of messages after they took them, and what follows from it.

Providers repeat themselves, come in any order, and speak of people who are gone. So a receipt
counts once for its message and kind, and what follows from it only ever adds: who bounced stays
suppressed, whatever is said to be delivered.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from delivery import policy, suppression
from delivery.models import Message, Receipt, SendAttempt, Suppression
from engage.lib import failpoints
from engage.lib.clock import to_millis
from engage.lib.ids import digest16, uuid7
from engage.profiles import consents, devices, identity
from engage.profiles.models import Profile

Kind = Receipt.Kind
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TO_ADDRESSES: Final = ("email", "sms")
MOST: Final = 1_000  # in one request
# A provider that holds its request open longer gives up and comes again.
LONGEST_STATEMENT_MS: Final = 5_000
REASONS: Final = {
    Kind.BOUNCED: Suppression.Reason.BOUNCED,
    Kind.COMPLAINED: Suppression.Reason.COMPLAINED,
    Kind.OPTED_OUT: Suppression.Reason.UNSUBSCRIBED,
    Kind.GONE: Suppression.Reason.GONE,
}
# Whoever speaks of a message took it, so it was sent after all, and needs no other call. One that
# is still attempting keeps that in mind, on the row itself: the reaper looks at the row it locks,
# not at what it saw before.
KNOWN_NOW: Final = """
UPDATE delivery_message SET
  state = CASE WHEN state IN ('unknown', 'planned', 'leased') THEN 'accepted' ELSE state END,
  reason = CASE state WHEN 'attempting' THEN 'heard' ELSE '' END,
  finished_at = CASE WHEN state IN ('planned', 'leased') THEN %(now)s ELSE finished_at END,
  lease_token = CASE WHEN state IN ('planned', 'leased') THEN NULL ELSE lease_token END,
  lease_until = CASE WHEN state IN ('planned', 'leased') THEN NULL ELSE lease_until END
WHERE profile_id = %(profile_id)s AND id = %(id)s
  AND (state IN ('unknown', 'attempting') OR state IN ('planned', 'leased') AND attempt > 0)
"""


class Said(NamedTuple):
    """One thing that a provider said of a message, by any of the names that a message may have."""

    provider: str
    channel: str
    kind: Receipt.Kind
    ts: datetime
    profile_id: int | None = None  # with message_id: of our own token
    message_id: UUID | None = None
    key: UUID | None = None  # what e-mail and SMS give away; of other channels, the message's id
    provider_id: str = ""
    address: str = ""  # where the provider says it
    detail: str = ""
    event: str = ""  # tells one opt-out of a message from its next


class Taken(NamedTuple):
    new: int = 0  # receipts that said something new
    known: int = 0  # that we had
    unknown: int = 0  # about no message of ours: an address may be suppressed all the same


def take(said: Iterable[Said], *, now: datetime) -> Taken:
    """Each in a transaction of its own. Safe to run twice: after an error all may come again."""
    counts = {True: 0, False: 0, None: 0}
    for one in said:
        counts[take_one(one, now=now)] += 1
    failpoints.reach("C13")
    return Taken(new=counts[True], known=counts[False], unknown=counts[None])


def cleaned(said: Said, *, now: datetime) -> Said:
    """What can be written down: of others, clocks run wrong and texts hold anything.

    A time without a zone is taken for UTC, whoever read it.
    """
    ts = said.ts if said.ts.tzinfo else said.ts.replace(tzinfo=UTC)
    return said._replace(
        ts=min(max(ts, EPOCH), now),
        provider_id=whole(said.provider_id)[:255],  # as the message has it
        address=whole(said.address),
        detail=whole(said.detail),
        event=whole(said.event),
    )


def whole(text: str) -> str:
    """Without NUL and halves of characters, which the database does not keep."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@transaction.atomic
def take_one(said: Said, *, now: datetime) -> bool | None:
    """Whether it is new; None when it is about no message of ours."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = %s", [LONGEST_STATEMENT_MS])
    said = cleaned(said, now=now)
    message = find_message(said)
    if message is None or not Profile.objects.filter(pk=message.profile_id).exists():
        # Of somebody erased, or not of ours. A dead address is dead all the same.
        if said.address:
            suppress(said, suppression.digest(said.address, channel=said.channel))
        return None
    if not write(said, message):
        return False
    if said.kind == Kind.OPTED_OUT:  # before the message is locked: who erases locks in this order
        opt_out(said, message)
    with connection.cursor() as cursor:
        cursor.execute(KNOWN_NOW, {"profile_id": message.profile_id, "id": message.id, "now": now})
    follow(said, message)
    return True


def find_key(text: object) -> UUID | None:
    """The message's key, alone or as the Message-ID that begins with it."""
    if not isinstance(text, str):
        return None
    try:
        return UUID(text.strip().lstrip("<").partition("@")[0])
    except ValueError:
        return None


def find_message(said: Said) -> Message | None:
    of_channel = Message.objects.filter(channel=said.channel)
    if said.message_id is not None and said.profile_id is not None:
        return of_channel.filter(profile_id=said.profile_id, id=said.message_id).first()
    if said.channel not in TO_ADDRESSES:  # whose keys have no index
        called = SendAttempt.objects.filter(message_id=said.key or UUID(int=0)).first()
        mine = (called.profile_id, called.message_id) if called else None
        return of_channel.filter(pk=mine).first() if mine else None
    found = of_channel.filter(key=said.key).first() if said.key else None
    if found is None and said.provider_id:
        found = of_channel.filter(provider_id=said.provider_id).first()
    return found


def write(said: Said, message: Message) -> bool:
    """Whether it is new."""
    event = said.event if said.kind == Kind.OPTED_OUT else ""
    row: dict[str, Any] = {
        "profile_id": message.profile_id,
        "id": uuid7(),
        "key": digest16(str(message.id), said.kind, event),
        "message_id": message.id,
        "campaign_id": message.campaign_id,
        "run_id": message.run_id,
        "channel": message.channel,
        "kind": str(said.kind),
        "detail": said.detail[:100],
        "ts": said.ts,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO delivery_receipt ({', '.join(row)})"  # noqa: S608 - our own names
            f" VALUES ({', '.join(['%s'] * len(row))}) ON CONFLICT (profile_id, key) DO NOTHING",
            list(row.values()),
        )
        return int(cursor.rowcount) > 0


def follow(said: Said, message: Message) -> None:
    """What the receipt has us do. The address is the one that the message went to."""
    if message.channel in policy.TO_DEVICES:
        if said.kind in {Kind.GONE, Kind.BOUNCED}:
            retire_token(message)
        return
    digest = message.address_digest
    if digest is None and said.address:  # marked before we kept it
        digest = suppression.digest(said.address, channel=said.channel)
    if digest is not None:
        suppress(said, digest)


def suppress(said: Said, digest: UUID) -> None:
    reason = REASONS.get(said.kind)
    if reason is not None:
        suppression.suppress_digest(
            digest,
            channel=said.channel,
            reason=reason,
            source=f"{said.provider} receipt",
            stated_at=said.ts if said.kind == Kind.OPTED_OUT else None,
        )


def opt_out(said: Said, message: Message) -> None:
    """The whole channel: the provider lets nothing through any more, whatever the topic."""
    consents.state(
        message.profile_id,
        channel=message.channel,
        status="opted_out",
        stated_ms=to_millis(said.ts),
        message_id=f"{said.provider}:{message.id}:{said.event or to_millis(said.ts)}",
        source=f"{said.provider} receipt",
    )


def retire_token(message: Message) -> None:
    """Only the token that the message went to: the device may have a new one."""
    owner = identity.follow_redirect(message.profile_id)
    for device in devices.list_devices(owner):
        token = str(device["token"])
        known = suppression.digest(token, channel=message.channel) == message.address_digest
        if device["id"] == message.address_id and token and known:
            devices.mark_gone(owner, message.address_id, token)
