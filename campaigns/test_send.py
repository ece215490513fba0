"""A campaign sent to one person as a test: a real message through the real door."""

from datetime import datetime
from uuid import uuid4

from django.db import transaction

from campaigns.errors import NotReady, Problem
from campaigns.experiments import choose_variant
from campaigns.fanout import new_message
from campaigns.models import Campaign
from delivery import outbox
from delivery.models import Message
from delivery.policy import TEST, TO_DEVICES
from engage.profiles import devices


@transaction.atomic
def send_test(campaign: Campaign, profile_id: int, *, now: datetime, once: str = "") -> Message:
    """Plan a test message; a sender takes it like any other. A push goes to the latest device.

    Consent, suppression and the slots hold for it too: a test shows what would happen. `once`
    names the wish: repeated, it finds the message of the first time.
    Raises `NotReady` when the campaign has nothing that could be sent.
    """
    variants = list(campaign.variants.order_by("pk"))
    if campaign.channel == "in_app":
        raise NotReady([Problem("channel", "in-app messages are fetched by the app, not sent")])
    if not variants:
        raise NotReady([Problem("variants", "there is none: say which template to send")])
    tokens: devices.Tokens = {}
    if campaign.channel in TO_DEVICES:
        tokens = devices.push_tokens([profile_id], web=campaign.channel == "web_push")
    [device_id, *_] = [device for device, *_ in tokens.get(profile_id, [])] or [""]
    message = new_message(
        campaign,
        choose_variant(variants, person=profile_id),
        profile_id=profile_id,
        address_id=device_id,
        kind=TEST,
        once=once or uuid4().hex,
        now=now,
    )
    outbox.plan([message])
    return Message.objects.get(profile_id=profile_id, key=message.key)


def describe(message: Message) -> str:
    return (
        f"A test {message.channel} message to profile {message.profile_id} is on its way; "
        "it stands among the messages with its outcome."
    )
