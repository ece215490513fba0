"""The list of people and the page of one person."""

from typing import Any

from django.contrib import admin
from django.db.models import CharField, Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse

from engage import person
from engage.lib import clock, screen
from engage.lib.admin import CappedPaginator, Page, Question, button, display
from engage.profiles import erasure
from engage.profiles.directory import find_people, name_person
from engage.profiles.models import Identity, Profile


@admin.register(Profile)
class ProfileAdmin(Page):
    paginator = CappedPaginator
    list_display = ("who", "user_id", "country", "seen_first", "seen_last")
    search_fields = ("pk",)  # shows the box; `get_search_results` does the work
    search_help_text = "Number, user id, anonymous id or e-mail"
    ordering = ("-last_seen",)
    actions = None
    actions_detail = ("erase",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        name = Identity.objects.filter(profile=OuterRef("pk"), kind="user").order_by("value")
        known_as = Subquery(name.values("value")[:1], output_field=CharField())
        people = super().get_queryset(request).filter(merged_into=None)
        return people.annotate(known_as=known_as)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        if not search_term:
            return queryset, False
        return queryset.filter(pk__in=find_people(search_term)), False

    @display("Person", header=True)
    def who(self, profile: Profile) -> list[str]:
        name = name_person(profile.attributes, profile.pk)
        address = str(profile.attributes.get("email") or "")
        return [name, address if address != name else "", name.lstrip("#")[:1]]

    @display("User id")
    def user_id(self, profile: Any) -> str:
        return profile.known_as or "anonymous"

    @display("Country")
    def country(self, profile: Profile) -> str:
        return str(profile.attributes.get("country") or screen.NOTHING)

    @display("First seen (UTC)", ordering="first_seen")
    def seen_first(self, profile: Profile) -> str:
        return screen.stamp(profile.first_seen)

    @display("Last seen", ordering="last_seen")
    def seen_last(self, profile: Profile) -> str:
        return screen.ago(profile.last_seen, now=clock.now())

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        profile = self.row(request, object_id)
        context = person.describe(profile, now=clock.now())
        context["title"] = context["name"]
        return self.show_row(request, profile, "admin/profiles/person.html", context)

    @button("Erase…", icon="person_off", permissions=("delete",), tone="danger")
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        profile = self.row(request, object_id)
        name = name_person(profile.attributes, profile.pk)
        question = Question(
            title=f"Erase {name}",
            button="Erase for ever",
            sentences=[
                "Everything we keep about this person is deleted: attributes, identities, "
                "devices, consents, events and messages. Only the number stays, in the journal "
                "of erasures.",
                "Addresses on the suppression list stay there as digests, so that nobody writes "
                "to them again.",
            ],
            danger=True,
        )

        def deed() -> str:
            erasure.erase(profile.pk, now=clock.now())
            return f"{name} is erased."

        back = self.url("change", profile.pk)
        done = self.url("changelist")
        return self.ask(request, question, deed=deed, back=back, done=done)
