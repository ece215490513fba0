"""The roles people have in the admin: superusers do everything, marketers do marketing.

The group "Marketer" is made after every migration and gets the rights it lacks; rights that
somebody added stay. Whoever wants other rights makes another group.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

MARKETER = "Marketer"
# model (app and name) → what a marketer may do with it
RIGHTS = {
    "campaigns.campaign": ("view", "add", "change", "delete"),
    "campaigns.variant": ("view", "add", "change", "delete"),
    "campaigns.segment": ("view", "add", "change", "delete"),
    "campaigns.template": ("view", "add", "change", "delete"),
    "campaigns.slot": ("view", "add", "change", "delete"),
    "campaigns.run": ("view", "change"),
    "catalog.catalog": ("view", "add", "change"),
    "catalog.product": ("view", "change"),
    "catalog.upload": ("view", "add", "change"),
    "recommendations.build": ("view", "change"),
    "recommendations.handpicked": ("view", "add", "change", "delete"),
    "recommendations.armresult": ("view",),
    "recommendations.ranker": ("view", "change"),
    "profiles.profile": ("view",),
    "engage.eventrow": ("view",),
    "engage.devicerow": ("view",),
    "engage.consentrow": ("view",),
    "engage.messagerow": ("view",),
    "engage.interactionrow": ("view",),
    "delivery.suppression": ("view", "add"),
    "delivery.cap": ("view", "add", "change", "delete"),
    "delivery.quiethours": ("view", "add", "change", "delete"),
    "delivery.sendrate": ("view",),
    "delivery.topic": ("view", "add", "change", "delete"),
    "delivery.webhookendpoint": ("view",),
}


def keep_marketers(sender: AppConfig, using: str = "default", **kwargs: Any) -> None:
    """Safe to run twice. Called after the last app's migrations: all permissions exist then."""
    wanted = Q(pk__in=[])
    for label, verbs in RIGHTS.items():
        app, model = label.split(".")
        names = [f"{verb}_{model}" for verb in verbs]
        wanted |= Q(content_type__app_label=app, codename__in=names)
    group, _ = Group.objects.using(using).get_or_create(name=MARKETER)
    group.permissions.add(*Permission.objects.using(using).filter(wanted))
