from django.contrib import admin

from engage.lib.admin import Page
from engage.profiles.models import Profile


@admin.register(Profile)
class ProfileAdmin(Page):
    list_display = ("id", "first_seen", "last_seen")
