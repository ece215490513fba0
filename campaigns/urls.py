"""The door of this room for apps, with and without a slash at its end."""

from django.urls import path

from campaigns.app_launch import view

urlpatterns = [path(f"v1/app-launch{slash}", view) for slash in ("", "/")]
