from django.contrib import admin

from delivery.models import Suppression
from engage.lib.admin import Page


@admin.register(Suppression)
class SuppressionAdmin(Page):
    pass
