"""Segments: a rule as JSON, its sentence and its count beside it."""

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from campaigns.admin.review import within_time
from campaigns.errors import InvalidRule
from campaigns.forms import SegmentForm
from campaigns.models import Segment
from campaigns.segments import reach, rules, sentence
from engage.lib import clock, screen
from engage.lib.admin import Page, display
from engage.lib.forms import read_json
from engage.profiles.models import Profile

SAMPLE = 5
EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("Everybody", {"all": []}),
    ("By an attribute", {"attribute": "country", "op": "in", "value": ["DE", "AT"]}),
    (
        "Viewed often lately",
        {"did": "Product Viewed", "at_least": 3, "within_days": 14},
    ),
    (
        "Added to the cart and did not buy",
        {
            "all": [
                {"did": "Product Added", "within_days": 7},
                {"did_not": "Order Completed", "within_days": 7},
            ]
        },
    ),
    (
        "Spent well, or lives near",
        {
            "any": [
                {
                    "did": "Order Completed",
                    "within_days": 90,
                    "where": [{"property": "total", "op": ">=", "value": 100}],
                },
                {"attribute": "city", "op": "=", "value": "Berlin"},
            ]
        },
    ),
]


@admin.register(Segment)
class SegmentAdmin(Page):
    form = SegmentForm
    list_display = ("name", "meaning", "used_by", "updated_at")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "rule")
    change_form_after_template = "admin/campaigns/segment_side.html"
    change_form_show_cancel_button = True

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(campaigns=Count("campaign"))

    @display("Who")
    def meaning(self, segment: Segment) -> str:
        try:
            return sentence.describe(rules.parse(segment.rule))
        except InvalidRule as exc:
            return f"not a rule: {exc.message}"

    @display("Campaigns", ordering="campaigns")
    def used_by(self, segment: Any) -> str:
        return screen.number(segment.campaigns)

    def get_urls(self) -> list[URLPattern]:
        check = path(
            "check/",
            self.admin_site.admin_view(require_POST(self.check_view)),
            name="campaigns_segment_check",
        )
        return [check, *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        examples = [(name, json.dumps(rule, indent=2)) for name, rule in EXAMPLES]
        context = {"examples": examples, "check_url": self.url("check"), **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """What the rule in the form means, and whom it gives now. Changes nothing."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        return TemplateResponse(
            request,
            "admin/campaigns/segment_check.html",
            look_at(
                request.POST.get("rule", ""),
                name_people=request.user.has_perm("profiles.view_profile"),
            ),
        )


def look_at(text: str, *, name_people: bool) -> dict[str, Any]:
    """Problems, or the sentence of a rule with its count, and a few people to who may see them."""
    try:
        rule = rules.parse(read_json(text))
    except ValidationError as exc:
        return {"problems": exc.messages}
    except InvalidRule as exc:
        return {"problems": [str(problem) for problem in exc.problems]}
    found = {"sentence": sentence.describe(rule)}
    now = clock.now()
    answer = within_time(
        lambda: (reach.count(rule, now=now), reach.list_members(rule, now=now, limit=SAMPLE))
    )
    if answer is None:
        return found | {"problems": ["Counting took too long and was stopped."]}
    counted, members = answer
    people = Profile.objects.filter(pk__in=members if name_people else []).order_by("pk")
    return found | {
        "people": screen.number(counted.people),
        "channels": [
            ("by e-mail", screen.number(counted.email)),
            ("by push", screen.number(counted.push)),
            ("by web push", screen.number(counted.web_push)),
            ("by SMS", screen.number(counted.sms)),
            ("in the app", screen.number(counted.in_app)),
            ("in the inbox", screen.number(counted.inbox)),
        ],
        "sample": people,
    }
