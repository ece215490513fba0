from django.contrib import admin

from campaigns.models import Campaign, Run, Segment, Template
from engage.lib.admin import Page


@admin.register(Campaign)
class CampaignAdmin(Page):
    pass


@admin.register(Run)
class RunAdmin(Page):
    pass


@admin.register(Segment)
class SegmentAdmin(Page):
    pass


@admin.register(Template)
class TemplateAdmin(Page):
    pass
