"""Runs: what became of the messages, what people did with them, which products they liked."""

import csv
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString

from campaigns import decisions, runs
from campaigns.admin import run_page
from campaigns.models import Campaign, Run
from engage.lib import clock, screen
from engage.lib.admin import Page, Question, button, display

State = Run.State
FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")
LEGAL = {
    State.PLANNING: ("pause", "cancel"),
    State.SENDING: ("pause", "cancel"),
    State.PAUSED: ("resume", "cancel"),
    State.MISSED: ("start",),
}


@admin.register(Run)
class RunAdmin(Page):
    list_display = ("name", "state_now", "channel", "due", "people", "messages", "held")
    list_filter = ("state", "campaign__channel", "campaign")
    search_fields = ("campaign__name",)
    list_select_related = ("campaign",)
    ordering = ("-scheduled_for",)
    date_hierarchy = "scheduled_for"
    actions = None
    actions_detail = ("start", "pause", "resume", "cancel", "decisions", "download")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display("Campaign", ordering="campaign__name")
    def name(self, run: Run) -> str:
        return run.campaign.name

    @display("State", ordering="state")
    def state_now(self, run: Run) -> SafeString:
        return screen.state_pill(run.state)

    @display("Channel", ordering="campaign__channel")
    def channel(self, run: Run) -> str:
        return run.campaign.get_channel_display()

    @display("Due (UTC)", ordering="scheduled_for")
    def due(self, run: Run) -> str:
        return screen.stamp(run.scheduled_for)

    @display("People", ordering="audience")
    def people(self, run: Run) -> str:
        return screen.number(run.audience)

    @display("Messages", ordering="planned")
    def messages(self, run: Run) -> str:
        return screen.number(run.planned)

    @display("Held out", ordering="held_out")
    def held(self, run: Run) -> str:
        return screen.number(run.held_out)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The figures; there is nothing to edit."""
        run = self.row(request, object_id)
        page = run_page.describe(
            run,
            csv_url=self.url("download", run.pk),
            now=clock.now(),
            machines=request.GET.get("machines") == "1",
        )
        context = {"title": str(run), "page": page}
        return self.show_row(request, run, "admin/campaigns/run.html", context)

    def legal_buttons(self, row: Run) -> tuple[str, ...]:
        legal = LEGAL.get(State(row.state), ())
        if row.state == State.MISSED and row.campaign.state != Campaign.State.ACTIVE:
            legal = ()
        return (*legal, "decisions", "download")

    @button("Send it now…", icon="send", tone="primary")
    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = self.row(request, object_id)

        def deed() -> str:
            runs.start_missed(run, now=clock.now())
            return "The run has started."

        question = Question(
            title=f"Send {run} although it is late",
            button="Send it now",
            sentences=[
                f"It was due at {screen.stamp(run.scheduled_for)} UTC and could not start within "
                "the time the campaign allows. The audience is counted anew."
            ],
        )
        return self.ask(request, question, deed=deed, back=self.url("change", run.pk))

    @button("Pause…", icon="pause_circle")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_of_campaign(request, object_id, "pause")

    @button("Resume…", icon="play_circle", tone="primary")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_of_campaign(request, object_id, "resume")

    @button("Cancel…", icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_of_campaign(request, object_id, "cancel")

    def ask_of_campaign(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Pausing is done to a campaign with all its runs; its page asks."""
        run = self.row(request, object_id)
        return redirect(reverse(f"admin:campaigns_campaign_{name}", args=[run.campaign_id]))

    @button("People", icon="groups", permissions=("view",))
    def decisions(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Who got it and who did not, by person and by reason."""
        run = self.row(request, object_id)
        asked = request.GET
        page = run_page.describe_people(
            run,
            decision=asked.get("decision", "")[:20],
            reason=asked.get("reason", "")[:100],
            person=asked.get("person", "")[:255],
            after=whole_number(asked.get("after", "")) or 0,
            after_message=message_id(asked.get("message", "")),
        )
        context = {"title": f"People of {run}", "page": page}
        return self.show_row(request, run, "admin/campaigns/run_people.html", context)

    @button("CSV", icon="download", permissions=("view",))
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = self.row(request, object_id)
        answer = HttpResponse(content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="run-{run.pk}.csv"'
        writer = csv.writer(answer)
        for line in run_page.list_csv(run):
            writer.writerow([harmless(cell) for cell in line])
        return answer


def message_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return decisions.FIRST


def whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def harmless(cell: object) -> str:
    """A spreadsheet must not take a text for a formula."""
    text = str(cell)
    is_number = isinstance(cell, int | float)
    return f"'{text}" if text[:1] in FORMULA_STARTS and not is_number else text
