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

SOURCE: Final = "answer by SMS"
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
    said = Said(SOURCE, "sms", Kind.OPTED_OUT, now, detail="STOP", event=event)
    messages = list_messages(number)
    # Told once more, nothing is new; a START may have come in between.
    new = [message for message in messages if _state(message, "opted_out", event=event, now=now)]
    for message in new:
        receipts.write(said, message)
    if new or not messages:
        receipts.suppress(said, suppression.digest(number, channel="sms"))


def start(number: str, *, event: str, now: datetime) -> None:
    """A word of people we know; of a stranger there is nobody to write to."""
    new = [_state(one, "opted_in", event=event, now=now) for one in list_messages(number)]
    if any(new):
        digest = suppression.digest(number, channel="sms")
        Suppression.objects.filter(channel="sms", digest=digest, reason__in=LIFTED).delete()


def _state(message: Message, status: str, *, event: str, now: datetime) -> bool:
    """Whether it is new."""
    stated_ms = consents.after_last_ms(message.profile_id, channel="sms", now=now)
    return consents.state(
        message.profile_id,
        channel="sms",
        status=status,
        stated_ms=stated_ms + (status == "opted_in"),  # a tie is an opt-out
        message_id=f"{event}:{message.profile_id}",
        source=SOURCE,
    )


def list_messages(number: str) -> list[Message]:
    """The last SMS that each person got on the number."""
    digest = suppression.digest(number, channel="sms")
    found = Message.objects.filter(channel="sms", address_digest=digest)
    return list(found.order_by("profile_id", "-id").distinct("profile_id")[:MOST_PEOPLE])
