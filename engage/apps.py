from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class EngageConfig(AppConfig):
    name = "engage"
    label = "engage"
    verbose_name = "Engage"

    def ready(self) -> None:
        from engage import checks  # noqa: F401 - registers them
        from engage.roles import keep_marketers

        last = list(apps.get_app_configs())[-1]
        post_migrate.connect(keep_marketers, sender=last, dispatch_uid="engage.marketers")
