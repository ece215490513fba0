"""Which door leads where. The busiest first: they are looked through in this order."""

from django.contrib import admin
from django.urls import include, path

from engage import health
from engage.api import api

urlpatterns = [
    path("", include("campaigns.urls")),  # two paths, before the many of the collector
    path("", include("engage.collector.urls")),
    path("", include("delivery.urls")),
    path("healthz", health.healthz),
    path("metrics", health.metrics),
    path("admin/", admin.site.urls),
    path("", api.urls),
]
