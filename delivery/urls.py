"""The doors of recipients, and of providers."""

from django.urls import path

from delivery import api
from delivery.hooks import views

urlpatterns = [
    path("t/c/<path:token>", api.click),
    path("t/o/<path:token>", api.opened),
    path("t/n/<path:token>", api.trap),
    path("u/<path:token>", api.unsubscribe),
    path("hooks/twilio/<path:token>", views.twilio_status),
    path("hooks/<str:provider>/", views.hook),
]
