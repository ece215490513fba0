"""Which door leads where. The busiest first: they are looked through in this order."""

from django.contrib import admin
from django.urls import include, path

from engage import health

urlpatterns = [
    path("", include("engage.collector.urls")),
    path("", include("campaigns.urls")),
    path("", include("delivery.urls")),
    path("healthz", health.healthz),
    path("metrics", health.metrics),
    path("admin/", admin.site.urls),
]
