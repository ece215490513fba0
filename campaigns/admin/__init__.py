"""The marketer's pages, one file per subject."""

from campaigns.admin.campaign import CampaignAdmin
from campaigns.admin.run import RunAdmin
from campaigns.admin.segment import SegmentAdmin
from campaigns.admin.template import TemplateAdmin

__all__ = ["CampaignAdmin", "RunAdmin", "SegmentAdmin", "TemplateAdmin"]
