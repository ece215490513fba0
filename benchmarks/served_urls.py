"""The project's routes, and before them an empty view."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from engage.urls import urlpatterns as project_routes


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json", headers={"Content-Length": "2"})


urlpatterns = [path("v1/empty", empty), path("", include(project_routes))]
