"""Which door leads where. The busiest first: they are looked through in this order."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from engage import health, management_api, work

urlpatterns = [
    path("", include("campaigns.urls")),
    path("", include("engage.collector.urls")),
    path("", include("delivery.urls")),
    path("v1/", management_api.api.urls),
    path("healthz", health.healthz),
    path("metrics", health.metrics),
    path("docs/", management_api.docs, name="docs"),
    path("docs/openapi.json", management_api.openapi, name="openapi"),
    path("admin/under-way/", admin.site.admin_view(work.under_way), name="under_way"),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

handler400 = "engage.faults.bad_request"
handler404 = "engage.faults.not_found"
handler500 = "engage.faults.server_error"
