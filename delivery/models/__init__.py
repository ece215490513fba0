from delivery.models.interaction import Interaction, Link
from delivery.models.message import Message, SendAttempt
from delivery.models.suppression import Suppression

__all__ = ["Interaction", "Link", "Message", "SendAttempt", "Suppression"]
