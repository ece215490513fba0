from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from engage.collector import access, quarantine
from engage.collector.forms import NewKeyForm
from engage.collector.models import Quarantined, SdkKey, Source
from engage.lib import clock, screen
from engage.lib.admin import Page, Question, button, display

MOST_SHOWN = 4_000  # bytes of a quarantined body


@admin.register(Source)
class SourceAdmin(Page):
    list_display = ("name", "key_count", "created_at")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(key_rows=Count("keys"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Events name their source by number; its keys can be revoked."""
        return False

    @display("Keys", ordering="key_rows")
    def key_count(self, source: Any) -> str:
        return screen.number(source.key_rows)


@admin.register(SdkKey)
class SdkKeyAdmin(Page):
    """A key is shown once, when it is made; afterwards its first letters."""

    list_display = ("key", "source", "what_for", "state", "created_at")
    list_filter = ("kind", "source")
    list_select_related = ("source",)
    ordering = ("-created_at",)
    actions = None
    actions_detail = ("revoke",)
    fields = (("key", "state"), ("source", "what_for"), ("created_at", "expires_at"), "revoked_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display("Key", ordering="hint")
    def key(self, key: SdkKey) -> str:
        return f"{key.hint}…"

    @display("Kind", ordering="kind")
    def what_for(self, key: SdkKey) -> str:
        return key.get_kind_display()

    @display("State")
    def state(self, key: SdkKey) -> SafeString:
        if key.revoked_at:
            return screen.pill("revoked", "red")
        if key.expires_at and key.expires_at <= clock.now():
            return screen.pill("expired", "amber")
        return screen.pill("valid", "green")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Make a key and show it, in this answer only: the admin forbids storing its answers."""
        if not self.has_add_permission(request):
            return HttpResponse(status=403)
        form = NewKeyForm(request.POST if request.method == "POST" else None)
        back = self.url("changelist")
        if request.method != "POST" or not form.is_valid():
            question = Question(title="A new key", button="Make the key", form=form)
            return self.ask(request, question, deed=str, back=back)
        source, kind = form.cleaned_data["source"], form.cleaned_data["kind"]
        context = {
            "title": "A new key",
            "key": access.create_key(source, kind=kind),
            "source": source,
            "kind": SdkKey.Kind(kind).label,
            "public": kind == SdkKey.Kind.WRITE,
            "back": back,
        }
        return self.show(request, "admin/collector/key.html", context)

    def legal_buttons(self, row: SdkKey) -> tuple[str, ...]:
        return () if row.revoked_at else ("revoke",)

    @button("Revoke…", icon="key_off", tone="danger")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.row(request, object_id)

        def deed() -> str:
            SdkKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=clock.now())
            access.forget_keys()
            seconds = round(access.REMEMBER_SECONDS)
            return (
                f"The key {key.hint}… is revoked; in {seconds} seconds nobody takes it any more."
            )

        question = Question(
            title=f"Revoke {key.hint}…",
            button="Revoke the key",
            sentences=[
                f"Whatever still uses this key of {key.source} is refused from now on. "
                "This cannot be undone; make a new key first."
            ],
            danger=True,
        )
        return self.ask(request, question, deed=deed, back=self.url("change", key.pk))


@admin.register(Quarantined)
class QuarantinedAdmin(Page):
    list_display = ("entry_id", "source_name", "received_at", "why", "replayed_at")
    ordering = ("-created_at",)
    actions = None
    actions_detail = ("replay",)
    fields = (("entry_id", "source_name"), ("received_at", "replayed_at"), "error", "content")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @button("Try again…", icon="replay", tone="primary")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def deed() -> str:
            quarantine.replay(row, now=clock.now())
            return "It is in the queue again. If it still cannot be stored, it comes back here."

        question = Question(
            title="Try to store it again",
            button="Put it into the queue",
            sentences=["An event that was stored meanwhile is not stored twice."],
        )
        return self.ask(request, question, deed=deed, back=self.url("change", row.pk))

    @display("Source")
    def source_name(self, row: Quarantined) -> str:
        found = Source.objects.filter(pk=row.source_id).values_list("name", flat=True).first()
        return found or f"#{row.source_id}"

    @display("Why")
    def why(self, row: Quarantined) -> str:
        return row.error.splitlines()[0][:120] if row.error else screen.NOTHING

    @display("As it came")
    def content(self, row: Quarantined) -> str:
        return bytes(row.body[:MOST_SHOWN]).decode(errors="replace")
