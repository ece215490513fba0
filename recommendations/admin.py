from django.contrib import admin

from engage.lib.admin import Page
from recommendations.models import Build, HandPicked


@admin.register(Build)
class BuildAdmin(Page):
    pass


@admin.register(HandPicked)
class HandPickedAdmin(Page):
    pass
