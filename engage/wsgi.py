"""The WSGI entry: machines' doors without middleware, people's doors with all of it."""

import os
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final

import django
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpResponse

from engage.lib.processes import die_with_parent, say_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
if os.environ.get("ENGAGE_INSTANCE"):  # a web worker of the runner, whose server may be killed
    die_with_parent()

StartResponse = Callable[..., Any]
Door = tuple[Callable[..., HttpResponse], Mapping[str, str]]


class MachineHandler(WSGIHandler):
    """Without any middleware: sessions, CSRF and the like would cost a third of the answers."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        respond: Any = self._get_response  # type: ignore[attr-defined]
        self._middleware_chain = convert_exception_to_response(respond)


django.setup(set_prefix=False)
for_machines = MachineHandler()
for_people = WSGIHandler()

from campaigns import urls as launches  # noqa: E402  (their models need the set-up)
from engage.collector import urls as collector  # noqa: E402

DOORS: Final[Mapping[str, Door]] = {**collector.DOORS, **launches.DOORS}

if settings.INSTANCE_NONCE:
    from engage.runner.locks import wait_at_gate

    import_module(settings.ROOT_URLCONF)  # all that is served, before the wait
    wait_at_gate(settings.DATA_DIR)
    say_ready()

machine_paths: Final = settings.MACHINE_PATHS


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if (door := DOORS.get(path)) is not None:
        return open_door(door, environ, start_response)
    handler = for_machines if path.startswith(machine_paths) else for_people
    return handler(environ, start_response)


def open_door(
    door: Door, environ: dict[str, Any], start_response: StartResponse
) -> Iterable[bytes]:
    """Call a view without Django's handler: no signals and no search for its path.

    Only for views that catch everything and look after their database connection themselves. It
    is what lets an event cost less than an empty view does.
    """
    view, arguments = door
    response = view(WSGIRequest(environ), **arguments)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return (response.content,)
