"""The doors of this room for apps, with and without a slash at their end."""

from typing import Any, Final

from django.urls import path

from campaigns import app_launch, inbox

# `engage/wsgi.py` goes straight to it, as to those of the collector.
DOORS: Final[dict[str, Any]] = {
    f"/v1/app-launch{slash}": (app_launch.view, {}) for slash in ("", "/")
}

urlpatterns = [path(place[1:], view) for place, (view, _) in DOORS.items()]
urlpatterns += [path(f"v1/inbox{slash}", inbox.view) for slash in ("", "/")]
