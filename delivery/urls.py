"""The doors of recipients, and of providers."""

from django.urls import path, re_path

from delivery import api
from delivery.hooks import views

urlpatterns = [
    path("t/c/<path:token>", api.click),
    path("t/o/<path:token>", api.opened),
    path("t/n/<path:token>", api.trap),
    path("u/<path:token>", api.unsubscribe),
    re_path(r"^hooks/(?P<provider>[a-z_]+)/?$", views.hook),
    path("hooks/<str:provider>/<str:token>", views.hook),
]
