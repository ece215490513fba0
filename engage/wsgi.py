"""The WSGI entry: machines' doors without middleware, people's doors with all of it."""

import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import django
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler

from engage.lib.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
if os.environ.get("ENGAGE_INSTANCE"):  # a web worker of the runner, whose server may be killed
    die_with_parent()


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
machine_paths: Final = settings.MACHINE_PATHS


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    handler = for_machines if environ["PATH_INFO"].startswith(machine_paths) else for_people
    return handler(environ, start_response)
