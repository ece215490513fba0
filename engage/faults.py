"""What is answered when no view is: a page for people, JSON for machines."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from engage.lib import api
from engage.lib.errors import NotFound


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_machine(request):
        return api.refuse(NotFound("There is nothing at this path."))
    return defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_machine(request):
        return api.refusal("unreadable_body", "The request cannot be read.")
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    if is_machine(request):
        return api.refusal("internal_error", "Something broke here. Try again later.")
    return defaults.server_error(request)


def is_machine(request: HttpRequest) -> bool:
    return request.path_info.startswith(settings.MACHINE_PATHS)
