from campaigns.models.campaign import Campaign, Variant
from campaigns.models.occasion import Occasion
from campaigns.models.run import ControlMember, Run
from campaigns.models.segment import Segment
from campaigns.models.template import Slot, Template

__all__ = [
    "Campaign",
    "ControlMember",
    "Occasion",
    "Run",
    "Segment",
    "Slot",
    "Template",
    "Variant",
]
