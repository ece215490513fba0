"""Which door leads where."""

from django.contrib import admin
from django.urls import path

from engage import health

urlpatterns = [
    path("healthz", health.healthz),
    path("metrics", health.metrics),
    path("admin/", admin.site.urls),
]
