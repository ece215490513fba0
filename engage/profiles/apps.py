from django.apps import AppConfig


class ProfilesConfig(AppConfig):
    name = "engage.profiles"
    label = "profiles"
    verbose_name = "Profiles"
