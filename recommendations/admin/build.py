"""Builds: how each was measured, what is live, and the two buttons that change it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from engage.lib import clock, screen
from engage.lib.admin import Question, ReadOnly, button, display
from engage.lib.errors import InvalidInput
from recommendations import audience, builds_page, registry
from recommendations.admin.figures import table_of
from recommendations.forms import AudienceForm, BuildNowForm
from recommendations.models import Build
from recommendations.steps import describe
from recommendations.tasks import build

NAMED = 50  # people on the page of a product's audience


@admin.register(Build)
class BuildAdmin(ReadOnly):
    list_display = ("name", "state_now", "quality_words", "learned_from", "took", "published_at")
    list_filter = ("state", "catalog")
    ordering = ("-started_at",)
    actions = None
    actions_list = ("build_now", "who_wants")
    actions_detail = ("roll_back",)
    list_before_template = "admin/recommendations/builds.html"
    change_form_before_template = "admin/recommendations/build.html"
    fields = (
        ("catalog", "state_now"),
        "reason",
        ("started_at", "finished_at", "published_at", "up_to_date"),
        ("quality_table", "data_table"),
        ("timing_table", "parameter_table"),
        ("artifact", "checksum"),
    )
    readonly_fields = (
        "state_now",
        "up_to_date",
        "quality_table",
        "data_table",
        "timing_table",
        "parameter_table",
    )

    def legal_buttons(self, row: Build) -> tuple[str, ...]:
        return ("roll_back",) if row.state == Build.State.LIVE else ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        described = builds_page.describe(request.GET.get("catalog"))
        live = described.get("live")
        context = {
            **(extra_context or {}),
            **running_now(),
            "page": described,
            "roll_back_url": "",
        }
        if live and self.has_act_permission(request):
            context["roll_back_url"] = self.url("roll_back", live["pk"])
        page: HttpResponse = super().changelist_view(request, context)
        return page

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), **running_now()}
        page: HttpResponse = super().change_view(request, object_id, form_url, context)
        return page

    @button("Build now…", icon="model_training", tone="primary")
    def build_now(self, request: HttpRequest) -> HttpResponse:
        form = BuildNowForm(request.POST if request.method == "POST" else None)

        def deed() -> str:
            catalog = form.cleaned_data["catalog"]
            build.delay_on_commit(catalog)
            return (
                f"A build of catalog {catalog} is on its way; it stands in this list once begun."
            )

        question = Question(
            title="Learn anew",
            button="Build now",
            sentences=[
                "The new model is measured on behaviour it has not seen. It goes live only when "
                "it is not worse than the present one."
            ],
            form=form,
        )
        return self.ask(request, question, deed=deed, back=self.url("changelist"))

    @button("Who wants a product…", icon="person_search", permissions=("view",))
    def who_wants(self, request: HttpRequest) -> HttpResponse:
        """Asked by GET, so that the address of an answer can be kept; changes nothing."""
        form = AudienceForm(request.GET if "item" in request.GET else None)
        found = None
        if form.is_bound and form.is_valid():
            asked = form.cleaned_data
            try:
                found = audience.find(
                    asked["item"], catalog=asked["catalog"], n=NAMED, now=clock.now()
                )
            except InvalidInput as exc:
                form.add_error("item", exc.message)
        context = {
            "title": "Who wants a product",
            "form": form,
            "found": found,
            "name_people": request.user.has_perm("profiles.view_profile"),
            "back": self.url("changelist"),
        }
        return self.show(request, "admin/recommendations/audience.html", context)

    @button("Roll back…", icon="undo", tone="danger")
    def roll_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def deed() -> str:
            served = registry.roll_back(row.catalog, live=row.pk)
            return f"Build {served.pk} is served again."

        question = Question(
            title=f"Roll back build {row.pk}",
            button="Serve the build before it",
            sentences=[
                "The build before this one is served again at once, and this one is not used any "
                "more. A new build can replace it at any time."
            ],
            danger=True,
        )
        return self.ask(request, question, deed=deed, back=self.url("change", row.pk))

    @display("Build", ordering="pk")
    def name(self, row: Build) -> str:
        return f"{row.catalog}\N{NO-BREAK SPACE}#{row.pk}"

    @display("State", ordering="state")
    def state_now(self, row: Build) -> SafeString:
        """Of a running one also how far it is; the page moves the bar."""
        if row.state != Build.State.RUNNING:
            return screen.state_pill(row.state)
        return screen.work_bar(f"build-{row.pk}", *describe(row, now=clock.now()))

    @display("Quality")
    def quality_words(self, row: Build) -> str:
        """The first figures that are shares, or why there are none."""
        shares = [
            f"{name.replace('_', ' ')} {screen.percent(value, 1)}".replace(
                " ", "\N{NO-BREAK SPACE}"
            )
            for name, value in row.quality.items()
            if isinstance(value, float) and 0 <= value <= 1
        ]
        return ", ".join(shares[:2]) or row.reason[:80] or screen.NOTHING

    @display("Learned from")
    def learned_from(self, row: Build) -> str:
        rows = row.data.get("interactions")
        return screen.NOTHING if rows is None else f"{screen.number(rows)} interactions"

    @display("Took")
    def took(self, row: Build) -> str:
        if row.finished_at is None:
            return screen.NOTHING
        return screen.duration((row.finished_at - row.started_at).total_seconds())

    @display("Folded in since")
    def up_to_date(self, row: Build) -> str:
        """How new the lists are between builds."""
        if row.patched_at is None:
            return screen.NOTHING
        facts = row.patch_facts
        rows = f"{screen.number(facts.get('rows', 0))} products' lists"
        waiting = facts.get("waiting", 0)
        more = f", {screen.number(waiting)} waiting" if waiting else ""
        full = ", full: a build is due" if facts.get("full") else ""
        return f"{screen.stamp(row.patched_at)} UTC: {rows}{more}{full}"

    @display("Quality on held-back behaviour")
    def quality_table(self, row: Build) -> SafeString:
        return table_of(row.quality)

    @display("Learned from")
    def data_table(self, row: Build) -> SafeString:
        return table_of(row.data)

    @display("Seconds and memory")
    def timing_table(self, row: Build) -> SafeString:
        return table_of(row.timings)

    @display("Parameters")
    def parameter_table(self, row: Build) -> SafeString:
        return table_of(row.parameters)


def running_now() -> dict[str, str]:
    """What the page takes for running; it loads itself anew when that is over."""
    running = Build.objects.filter(state=Build.State.RUNNING).order_by("pk")
    return {"builds_running": " ".join(f"build-{row.pk}" for row in running)}
