"""The door of this room for apps, with and without a slash at its end."""

from typing import Any, Final

from django.urls import path

from campaigns.app_launch import view

# `engage/wsgi.py` goes straight to it, as to those of the collector.
DOORS: Final[dict[str, Any]] = {f"/v1/app-launch{slash}": (view, {}) for slash in ("", "/")}

urlpatterns = [path(place[1:], view) for place in DOORS]
