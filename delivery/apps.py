from django.apps import AppConfig
from django.core.checks import register


class DeliveryConfig(AppConfig):
    name = "delivery"
    label = "delivery"
    verbose_name = "Delivery"

    def ready(self) -> None:
        from delivery.checks import check_channels

        register(check_channels)
