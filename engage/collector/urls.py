"""The paths of the SDKs, each with and without a slash at its end."""

from typing import Final

from django.urls import path

from engage.collector.api import segment_door, settings_door
from engage.collector.formats import segment

# Which view a path has and with what arguments: `engage/wsgi.py` goes straight to it.
DOORS: Final = {
    f"/v1/{word}{slash}": (segment_door, {"kind": kind})
    for slash in ("", "/")
    for word, kind in segment.KINDS.items()
}

urlpatterns = [path(place[1:], view, arguments) for place, (view, arguments) in DOORS.items()]
urlpatterns += [
    path(f"v1/projects/<str:key>/settings{slash}", settings_door) for slash in ("", "/")
]
