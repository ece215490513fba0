"""Recipients' doors."""

from django.urls import path

from delivery import api

urlpatterns = [
    path("t/c/<path:token>", api.click),
    path("t/o/<path:token>", api.opened),
    path("u/<path:token>", api.unsubscribe),
]
