"""What is under way in all rooms, for the pages that show it moving."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse

from engage.lib import clock, screen
from engage.lib.under_way import Work, list_under_way
from recommendations.models import Build
from recommendations.steps import describe


def under_way(request: HttpRequest) -> JsonResponse:
    """The view that a page asks every few seconds."""
    works = [show(work) for work in list_works(request, now=clock.now())]
    answer = JsonResponse({"works": works})
    answer["Cache-Control"] = "no-store"
    return answer


def panel(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """What admin/under_way.html shows."""
    works = list_works(request, now=now)
    return {
        "kind": "",
        "shown": " ".join(work.key for work in works),
        "lines": [
            {"title": w.title, "url": w.url, "bar": screen.work_bar(w.key, w.share, w.step)}
            for w in works
        ],
    }


def list_works(request: HttpRequest, *, now: datetime) -> list[Work]:
    """Those that this person may see: builds, then what was told."""
    running = Build.objects.filter(state=Build.State.RUNNING).order_by("pk")
    works = [*(work_of(build, now=now) for build in running), *list_under_way(now=now)]
    return [work for work in works if request.user.has_perm(work.permission)]


def work_of(build: Build, *, now: datetime) -> Work:
    share, step = describe(build, now=now)
    return Work(
        key=f"build-{build.pk}",
        title=f"Building catalog {build.catalog}",
        permission="recommendations.view_build",
        share=share,
        step=step,
        url=reverse("admin:recommendations_build_change", args=[build.pk]),
    )


def show(work: Work) -> dict[str, Any]:
    return asdict(work) | {
        "percent": round(100 * work.share),
        "words": screen.work_words(work.share, work.step),
    }
