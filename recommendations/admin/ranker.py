"""Rankers: how each was judged, and which one is used."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from engage.lib import clock, screen
from engage.lib.admin import Question, ReadOnly, button, display
from recommendations import rankers
from recommendations.admin.figures import table_of
from recommendations.models import Ranker


@admin.register(Ranker)
class RankerAdmin(ReadOnly):
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
