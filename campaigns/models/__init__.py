from campaigns.models.campaign import Campaign, Variant
from campaigns.models.run import ControlMember, Run
from campaigns.models.segment import Segment
from campaigns.models.template import Slot, Template

__all__ = ["Campaign", "ControlMember", "Run", "Segment", "Slot", "Template", "Variant"]
