"""The admin's navigation: what a person sees there is what they may open."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

# group → (title, icon, the model's app and name)
GROUPS: dict[str, list[tuple[str, str, str]]] = {
    "Campaigns": [
        ("Campaigns", "campaign", "campaigns_campaign"),
        ("Runs", "send", "campaigns_run"),
        ("Segments", "groups", "campaigns_segment"),
        ("Templates", "draft", "campaigns_template"),
    ],
    "Products": [
        ("Catalogs", "storefront", "catalog_catalog"),
        ("Products", "inventory_2", "catalog_product"),
        ("Uploads", "upload_file", "catalog_upload"),
    ],
    "Recommendations": [
        ("Builds", "model_training", "recommendations_build"),
        ("Hand-picked lists", "playlist_add_check", "recommendations_handpicked"),
        ("Explored sources", "explore", "recommendations_armresult"),
        ("Rankers", "sort", "recommendations_ranker"),
    ],
    "People": [
        ("Profiles", "person", "profiles_profile"),
        ("Devices", "smartphone", "engage_devicerow"),
        ("Consents", "verified_user", "engage_consentrow"),
        ("Events", "bolt", "engage_eventrow"),
        ("Erasures", "person_off", "profiles_erasure"),
    ],
    "Delivery": [
        ("Messages", "mail", "engage_messagerow"),
        ("Interactions", "ads_click", "engage_interactionrow"),
        ("Suppressions", "block", "delivery_suppression"),
        ("Frequency caps", "speed", "delivery_cap"),
        ("Quiet hours", "bedtime", "delivery_quiethours"),
        ("Send rates", "timer", "delivery_sendrate"),
        ("Topics", "label", "delivery_topic"),
        ("Webhook endpoints", "webhook", "delivery_webhookendpoint"),
    ],
    "Setup": [
        ("Sources", "sensors", "collector_source"),
        ("SDK keys", "key", "collector_sdkkey"),
        ("Quarantined events", "gpp_maybe", "collector_quarantined"),
        ("Users", "manage_accounts", "auth_user"),
        ("Groups", "shield_person", "auth_group"),
    ],
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    may_view = {
        f"{model._meta.app_label}_{model._meta.model_name}"
        for model, page in admin.site._registry.items()
        if page.has_view_permission(request)
    }
    home = {"title": "Dashboard", "icon": "dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [home]}]
    for title, entries in GROUPS.items():
        items = [
            {"title": name, "icon": icon, "link": reverse(f"admin:{model}_changelist")}
            for name, icon, model in entries
            if model in may_view
        ]
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups
