"""The WSGI entry: machines' doors without middleware, people's doors with all of it."""

import os

from django.core.wsgi import get_wsgi_application

from engage.lib.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
if os.environ.get("ENGAGE_INSTANCE"):  # a web worker of the runner, whose server may be killed
    die_with_parent()

application = get_wsgi_application()
