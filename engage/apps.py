from django.apps import AppConfig


class EngageConfig(AppConfig):
    name = "engage"
    label = "engage"
    verbose_name = "Engage"
