from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from engage.lib import clock, screen
from engage.lib.admin import Page, Question, button, display
from engage.lib.errors import InvalidInput
from recommendations import arms, audience, builds_page, rankers, registry
from recommendations.forms import AudienceForm, BuildNowForm, HandPickedForm
from recommendations.models import ArmResult, Build, HandPicked, Ranker
from recommendations.steps import describe
from recommendations.tasks import build

NAMED = 50  # people on the page of a product's audience


@admin.register(Build)
class BuildAdmin(Page):
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

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


def table_of(figures: Mapping[str, Any]) -> SafeString:
    """Name and value in lines; what lies inside a value behind its name."""
    lines = [
        (name.removesuffix("_ms").replace("_", " "), write_moment(value))
        if name.endswith("_ms")
        else (name.replace("_", " "), write(value))
        for name, value in figures.items()
    ]
    rows = format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines)
    return format_html('<dl class="facts">{}</dl>', rows or screen.NOTHING)


def write_moment(value: Any) -> str:
    return screen.stamp(clock.from_millis(value)) + " UTC" if value else screen.NOTHING


def write(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {write(inside)}" for name, inside in value.items())
    if isinstance(value, list):
        return ", ".join(map(write, value)) or "none"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@admin.register(HandPicked)
class HandPickedAdmin(Page):
    form = HandPickedForm
    list_display = ("name", "catalog", "product_count", "updated_at")
    list_filter = ("catalog",)
    ordering = ("catalog", "name")
    fields = (("catalog", "name"), "item_ids")

    @display("Products")
    def product_count(self, picked: HandPicked) -> str:
        return screen.number(len(picked.item_ids))


@admin.register(ArmResult)
class ArmResultAdmin(Page):
    """What slots tried, and how much of it each source gets now."""

    list_display = ("arm", "catalog", "shown", "clicked", "rate", "played", "counted_at")
    list_filter = ("catalog",)
    list_display_links = None
    ordering = ("catalog", "arm")
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display("Click rate")
    def rate(self, row: ArmResult) -> str:
        return screen.percent(row.clicked, row.shown)

    @display("Gets now")
    def played(self, row: ArmResult) -> str:
        """Its part of what is explored; a source that no release knows any more has none."""
        if row.arm not in arms.ARMS:
            return screen.NOTHING
        return screen.percent(arms.probabilities(row.catalog)[arms.ARMS.index(row.arm)], 1)


@admin.register(Ranker)
class RankerAdmin(Page):
    """What was learned from what people were shown, and whether it orders what they get."""

    list_display = ("name", "state_now", "judged", "learned_from", "trained_at", "reason")
    list_filter = ("state", "catalog")
    ordering = ("-trained_at", "-pk")
    actions = None
    actions_detail = ("switch_off", "use")
    fields = (
        ("catalog", "state_now"),
        "reason",
        ("trained_at", "published_at"),
        ("figure_table", "weight_table"),
        ("artifact", "checksum"),
    )
    readonly_fields = ("state_now", "figure_table", "weight_table")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def legal_buttons(self, row: Ranker) -> tuple[str, ...]:
        if row.state == Ranker.State.LIVE:
            return ("switch_off",)
        return ("use",) if row.state in rankers.USABLE and row.artifact else ()

    @button("Switch off…", icon="power_settings_new", tone="danger")
    def switch_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def deed() -> str:
            rankers.switch_off(row.pk)
            return f"Ranker {row.pk} is switched off."

        question = Question(
            title=f"Switch off ranker {row.pk}",
            button="Serve the plain order",
            sentences=[
                f"Within seconds the products of catalog {row.catalog} are served in their plain "
                "order. New rankers are still trained and judged, but none goes live until "
                "somebody uses one."
            ],
            danger=True,
        )
        return self.ask(request, question, deed=deed, back=self.url("change", row.pk))

    @button("Use…", icon="play_arrow", tone="primary")
    def use(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def deed() -> str:
            rankers.use(row.pk, now=clock.now())
            return f"Ranker {row.pk} is live."

        question = Question(
            title=f"Use ranker {row.pk}",
            button="Order by this ranker",
            sentences=[
                f"Within seconds it orders the products of catalog {row.catalog} inside each "
                "rung, in the place of the one that is live now. Later ones that are better go "
                "live by themselves."
            ],
        )
        return self.ask(request, question, deed=deed, back=self.url("change", row.pk))

    @display("Ranker", ordering="pk")
    def name(self, row: Ranker) -> str:
        return f"{row.catalog}\N{NO-BREAK SPACE}#{row.pk}"

    @display("State", ordering="state")
    def state_now(self, row: Ranker) -> SafeString:
        return screen.state_pill(row.state)

    @display("NDCG, as shown before")
    def judged(self, row: Ranker) -> str:
        if "ndcg" not in row.figures:
            return screen.NOTHING
        return f"{row.figures['ndcg']:.4f}, {row.figures['ndcg_as_shown']:.4f}"

    @display("Learned from")
    def learned_from(self, row: Ranker) -> str:
        shown, clicked = (row.figures.get(name, 0) for name in ("impressions", "clicks"))
        return f"{screen.number(shown)} products shown, {screen.number(clicked)} clicked"

    @display("Figures")
    def figure_table(self, row: Ranker) -> SafeString:
        return table_of(row.figures)

    @display("What it looks at, by share")
    def weight_table(self, row: Ranker) -> SafeString:
        return table_of(row.weights)
