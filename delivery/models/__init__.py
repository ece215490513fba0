from delivery.models.control import (
    Cap,
    Halt,
    Installation,
    Preference,
    QuietHours,
    SendRate,
    Topic,
)
from delivery.models.endpoint import WebhookEndpoint
from delivery.models.hold import ChannelPause, RunHold, RunPlan
from delivery.models.inbox import InboxMessage
from delivery.models.interaction import Interaction, Link
from delivery.models.message import Message, SendAttempt
from delivery.models.receipt import Receipt
from delivery.models.suppression import Suppression

__all__ = [
    "Cap",
    "ChannelPause",
    "Halt",
    "InboxMessage",
    "Installation",
    "Interaction",
    "Link",
    "Message",
    "Preference",
    "QuietHours",
    "Receipt",
    "RunHold",
    "RunPlan",
    "SendAttempt",
    "SendRate",
    "Suppression",
    "Topic",
    "WebhookEndpoint",
]
