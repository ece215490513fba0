from campaigns.models.campaign import Campaign, Variant
from campaigns.models.run import ControlMember, Run
from campaigns.models.segment import Segment
from campaigns.models.server_send import ServerSend
from campaigns.models.template import Slot, Template

__all__ = [
    "Campaign",
    "ControlMember",
    "Run",
    "Segment",
    "ServerSend",
    "Slot",
    "Template",
    "Variant",
]
