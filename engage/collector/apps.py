from django.apps import AppConfig


class CollectorConfig(AppConfig):
    name = "engage.collector"
    label = "collector"
    verbose_name = "Collector"
