"""What people answer to an SMS: STOP, START or HELP.

An answer names a number and no message. Who has the number is known from what we sent there.
"""

from datetime import datetime
from typing import Final

from django.db import transaction

from delivery import receipts, suppression
from delivery.models import Message, Suppression
from delivery.receipts import Kind, Said
from delivery.sms_words import Wish, read_wish
from engage.profiles import consents

MOST_PEOPLE: Final = 100  # who share one number
# A START lifts these: the number lives, and its owner wants to be written to.
LIFTED: Final = (Suppression.Reason.UNSUBSCRIBED, Suppression.Reason.GONE)


@transaction.atomic
def take(text: str, *, number: str, event: str, now: datetime) -> Wish | None:
    """Do what the answer wishes. Safe to run twice: `event` is the provider's name for it."""
    wish = read_wish(text)
    if wish == Wish.STOP:
        stop(number, event=event, now=now)
    elif wish == Wish.START:
        start(number, event=event, now=now)
    return wish


def stop(number: str, *, event: str, now: datetime) -> None:
    messages = list_messages(number)
    for message in messages:
        stated_ms = consents.after_last_ms(message.profile_id, channel="sms", now=now)
        consents.state(
            message.profile_id,
            channel="sms",
            status="opted_out",
            stated_ms=stated_ms,
            message_id=f"{event}:{message.profile_id}",
            source="answered STOP",
        )
        said = Said(
            "sms answer", "sms", Kind.OPTED_OUT, now,
            message.profile_id, message.id, detail="STOP", event=event,
        )  # fmt: skip
        receipts.take_one(said, now=now)
    if not messages:
        suppression.suppress(
            number,
            channel="sms",
            reason=Suppression.Reason.UNSUBSCRIBED,
            source="answered STOP",
        )


def start(number: str, *, event: str, now: datetime) -> None:
    """A word of people we know; of a stranger there is nobody to write to."""
    new = [
        consents.state(
            message.profile_id,
            channel="sms",
            status="opted_in",
            stated_ms=consents.after_last_ms(message.profile_id, channel="sms", now=now) + 1,
            message_id=f"{event}:{message.profile_id}",
            source="answered START",
        )
        for message in list_messages(number)
    ]
    if any(new):
        digest = suppression.digest(number, channel="sms")
        found = Suppression.objects.filter(channel="sms", digest=digest, reason__in=LIFTED)
        found.delete()


def list_messages(number: str) -> list[Message]:
    """The last SMS that each person got on the number."""
    digest = suppression.digest(number, channel="sms")
    found = Message.objects.filter(channel="sms", address_digest=digest)
    return list(found.order_by("profile_id", "-id").distinct("profile_id")[:MOST_PEOPLE])
