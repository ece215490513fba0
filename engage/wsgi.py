"""The WSGI entry: machines' doors without middleware, people's doors with all of it."""

import os

from django.core.handlers.wsgi import WSGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")

application = WSGIHandler
