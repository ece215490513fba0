"""What the admin pages of all rooms share: ledgers, buttons that ask first, plain refusals."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import quote, unquote

import unfold.admin
import unfold.decorators
import unfold.enums
import unfold.views
from django.contrib import messages
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.checks import ModelAdminChecks
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError

from engage.lib import clock
from engage.lib.errors import EngageError
from engage.lib.tables import estimate_rows

logger = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable[..., Any])
MOST_COUNTED = 10_000  # rows a ledger counts; nobody turns to page 200
LARGE = 200_000  # rows from which a list starts with one day


def display(
    description: str, *, ordering: str | None = None, header: bool = False
) -> Callable[[Function], Function]:
    """A column of a list: its heading, what it sorts by."""
    decorator = unfold.decorators.display(
        description=description, ordering=ordering, header=header or None
    )
    return cast(Callable[[Function], Function], decorator)


def button(
    description: str, *, icon: str, permissions: Sequence[str] = ("act",), tone: str = "default"
) -> Callable[[Function], Function]:
    """A button of a page. It leads to a page of its own: what a GET shows, a POST does."""
    decorator = unfold.decorators.action(
        description=description,
        icon=icon,
        permissions=permissions,
        variant=unfold.enums.ActionVariant(tone),
    )
    return cast(Callable[[Function], Function], decorator)


def shown_if(name: str, *values: str, unless: bool = False) -> str:
    """When a field of a form is shown: another field has one of the values, or none of them.

    Where a page can only be read the other field is no input, and everything is shown.
    """
    test = " || ".join(f"{name} == '{value}'" for value in values)
    return f"typeof {name} === 'undefined' || {'!' if unless else ''}({test})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked before a button does its work."""

    title: str
    button: str
    sentences: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    danger: bool = False
    form: Form | None = None
    work: str = ""  # what the deed tells its progress by, where it takes long


class Page(unfold.admin.ModelAdmin):  # type: ignore[misc]
    """The base of every admin page."""

    # unfold's own checks ask the database: `migrate` could not make the first one.
    checks_class = ModelAdminChecks
    compressed_fields = True
    warn_unsaved_form = True
    list_per_page = 50
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type["RowList"]:
        return RowList

    def has_act_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Who may change a row may press its buttons, also where nothing of it can be edited."""
        opts = self.model._meta
        return bool(request.user.has_perm(f"{opts.app_label}.change_{opts.model_name}"))

    def url(self, name: str, *args: object) -> str:
        opts = self.model._meta
        return reverse(
            f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_{name}", args=args
        )

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """The row of a button's page; an unknown one is a 404."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"There is no {self.model._meta.verbose_name} {object_id}.")
        return row

    def show(
        self, request: HttpRequest, template: str, context: Mapping[str, Any]
    ) -> HttpResponse:
        """A page of our own inside the shell."""
        request.current_app = self.admin_site.name
        shell = self.admin_site.each_context(request)
        return TemplateResponse(
            request,
            template,
            shell | {"opts": self.model._meta, "model_admin": self} | dict(context),
        )

    def show_row(
        self, request: HttpRequest, row: Model, template: str, context: Mapping[str, Any]
    ) -> HttpResponse:
        """A page of our own for one row, with the row's buttons, for those who may see it."""
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        buttons = self._get_actions_navigation(
            self.actions_detail, self.get_actions_detail(request, row.pk), row.pk
        )
        return self.show(
            request, template, {"original": row, "actions_detail": buttons, **context}
        )

    def legal_buttons(self, row: Any) -> Sequence[str]:
        """The buttons that make sense for a row as it is now."""
        return tuple(self.actions_detail)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        row = self.get_object(request, str(object_id))
        opts = self.model._meta
        legal = self.legal_buttons(row) if row is not None else ()
        names = {f"{opts.app_label}_{opts.model_name}_{name}" for name in legal}
        permitted = super().get_actions_detail(request, object_id)
        return [action for action in permitted if action.action_name in names]

    def ask(
        self,
        request: HttpRequest,
        question: Question,
        *,
        deed: Callable[[], str],
        back: str,
        done: str = "",
    ) -> HttpResponse:
        """Show the question; on a POST do the deed, say what it said, and go on to `done`."""
        if request.method == "POST" and (question.form is None or question.form.is_valid()):
            return carry_out(request, deed, back=back, done=done)
        return self.show(
            request,
            "admin/question.html",
            {"question": question, "back": back, "title": question.title},
        )


def carry_out(
    request: HttpRequest, deed: Callable[[], str], *, back: str, done: str = ""
) -> HttpResponse:
    """Do what a button says. A refusal becomes a sentence on the page it leads back to."""
    try:
        messages.success(request, deed())
    except EngageError as exc:
        messages.error(request, exc.message)
        return redirect(back)
    except (RedisError, BrokerError, OSError):
        logger.exception("a button could not do its work")
        messages.error(request, "A server this needs does not answer. Please try again later.")
        return redirect(back)
    return redirect(done or back)


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Never counts more than a bounded number of rows."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Model]", self.object_list)
        return rows.order_by()[:MOST_COUNTED].count()


class RowList(unfold.views.ChangeList):  # type: ignore[misc]
    """A list that says how many rows it has, and links also to those found by several columns."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.is_filtered:  # no link to all rows where all rows are
            self.full_result_count = self.result_count

    @property
    def is_filtered(self) -> bool:
        return bool(self.query or self.has_active_filters)

    @property
    def count_words(self) -> str:
        capped = isinstance(self.paginator, CappedPaginator) and self.result_count >= MOST_COUNTED
        return f"{'at least ' if capped else ''}{self.result_count:,}"

    def url_for_result(self, result: Model) -> str:
        if isinstance(self.model_admin, Ledger):
            return self.model_admin.url("change", self.model_admin.key_of(result))
        return cast(str, super().url_for_result(result))


class ReadOnly(Page):
    """Rows that the machine writes. Buttons may act on them, nobody edits them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Ledger(ReadOnly):
    """A read-only list over a table whose rows are found by `row_key`, joined by "~"."""

    row_key: ClassVar[tuple[str, ...]] = ("profile_id", "id")
    instead: ClassVar[dict[str, str]] = {}  # the column that a row's page shows for a field
    paginator = CappedPaginator
    actions = None

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [self.instead.get(each.name, each.name) for each in self.model._meta.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return tuple(self.get_fields(request, obj))

    def key_of(self, row: Model) -> str:
        return "~".join(quote(str(getattr(row, name)), safe="") for name in self.row_key)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        parts = [unquote(part) for part in object_id.split("~")]
        if len(parts) != len(self.row_key):
            return None
        fields = [self.model._meta.get_field(name) for name in self.row_key]
        try:
            values = [field.to_python(part) for field, part in zip(fields, parts, strict=True)]
            found = self.get_queryset(request).filter(
                **dict(zip(self.row_key, values, strict=True))
            )
            return cast("Model | None", found.first())
        except (ValueError, OverflowError, ValidationError):
            return None


class PeriodFilter(SimpleListFilter):
    """The last hour, day, week, month; large tables start with the day."""

    title = "period"
    parameter_name = "period"
    column: ClassVar[str] = "ts"
    periods: ClassVar[dict[str, timedelta]] = {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(days=7),
        "month": timedelta(days=30),
    }

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: "ModelAdmin[Any]",
    ) -> None:
        large = estimate_rows(model._meta.db_table) > LARGE
        self.unasked = "day" if large else "any"
        super().__init__(request, params, model, model_admin)

    def lookups(
        self, request: HttpRequest, model_admin: "ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        return [
            ("hour", "The last hour"),
            ("day", "The last 24 hours"),
            ("week", "The last 7 days"),
            ("month", "The last 30 days"),
            ("any", "Any time"),
        ]

    def value(self) -> str:
        return super().value() or self.unasked

    def choices(self, changelist: Any) -> Iterator[Any]:
        """As Django's, without its "All": "Any time" says it."""
        yield from list(super().choices(changelist))[1:]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        length = self.periods.get(self.value())
        if length is None:
            return queryset
        return queryset.filter(**{f"{self.column}__gte": clock.now() - length})


def period_filter(name: str) -> type[PeriodFilter]:
    """A period filter on the column `name`."""
    return type("ColumnPeriodFilter", (PeriodFilter,), {"column": name})
