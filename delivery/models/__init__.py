from delivery.models.hold import ChannelPause, RunHold
from delivery.models.interaction import Interaction, Link
from delivery.models.message import Message, SendAttempt
from delivery.models.suppression import Suppression

__all__ = [
    "ChannelPause",
    "Interaction",
    "Link",
    "Message",
    "RunHold",
    "SendAttempt",
    "Suppression",
]
