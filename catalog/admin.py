import re
import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import products, uploads
from catalog.errors import UnknownItem
from catalog.forms import ApplyForm, UploadForm
from catalog.models import Catalog, Product, Upload
from engage.lib import clock, screen
from engage.lib.admin import CappedPaginator, Page, Question, button, display
from engage.lib.errors import EngageError
from engage.lib.under_way import telling

MAY_SEE = "catalog.view_upload"
WORK_NAME = re.compile(r"upload-[0-9a-f]{32}")
LIVE = Q(products__deleted_at=None)


@admin.register(Catalog)
class CatalogAdmin(Page):
    list_display = ("name", "product_count", "stock", "own_columns", "changed")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Slots and builds name their catalog, so it keeps its name."""
        return ("name",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        counted = super().get_queryset(request)
        return counted.annotate(
            live=Count("products", filter=LIVE),
            available=Count("products", filter=LIVE & Q(products__in_stock=True)),
        )

    @display("Products", ordering="live")
    def product_count(self, catalog: Any) -> SafeString:
        url = f"{reverse('admin:catalog_product_changelist')}?catalog__id__exact={catalog.pk}"
        return screen.link(url, screen.number(catalog.live))

    @display("In stock")
    def stock(self, catalog: Any) -> str:
        return screen.percent(catalog.available, catalog.live)

    @display("Own columns")
    def own_columns(self, catalog: Catalog) -> str:
        return ", ".join(sorted(catalog.columns)[:6]) or screen.NOTHING

    @display("Changed", ordering="updated_at")
    def changed(self, catalog: Catalog) -> str:
        return screen.ago(catalog.updated_at, now=clock.now())


@admin.register(Product)
class ProductAdmin(Page):
    paginator = CappedPaginator
    list_display = ("product", "category", "cost", "stock", "catalog", "updated_at")
    list_filter = ("catalog", "in_stock")
    search_fields = ("item_id", "name")
    search_help_text = "Id or name"
    list_select_related = ("catalog",)
    ordering = ("catalog", "item_id")
    fields = (
        "picture",
        ("item_id", "catalog"),
        ("name", "category"),
        ("price", "currency"),
        ("in_stock", "group_id"),
        ("url", "image_url"),
        "extra",
        ("first_seen", "updated_at"),
    )
    readonly_fields = ("picture", "first_seen", "updated_at")
    actions_detail = ("take_out", "bring_back")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(deleted_at=None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def legal_buttons(self, row: Product) -> tuple[str, ...]:
        return ("take_out",) if row.in_stock else ("bring_back",)

    @button("Take out of stock…", icon="remove_shopping_cart")
    def take_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.set_stock(
            request,
            object_id,
            in_stock=False,
            title="Take out of stock",
            sentence="It is recommended nowhere from now on, in messages that wait included.",
        )

    @button("Back in stock…", icon="add_shopping_cart")
    def bring_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.set_stock(
            request,
            object_id,
            in_stock=True,
            title="Back in stock",
            sentence="It may be recommended again.",
        )

    def set_stock(
        self, request: HttpRequest, object_id: str, *, in_stock: bool, title: str, sentence: str
    ) -> HttpResponse:
        product = self.row(request, object_id)

        def deed() -> str:
            item = {"id": product.item_id, "in_stock": in_stock}
            written = products.patch(product.catalog.name, [item], now=clock.now())
            if written.rejected:
                raise UnknownItem(product.item_id, catalog=product.catalog.name)
            return f"{product.name}: {title.lower()}."

        question = Question(
            title=f"{title}: {product.name}",
            button=title,
            sentences=[sentence, "The next upload may change it again."],
        )
        return self.ask(request, question, deed=deed, back=self.url("change", product.pk))

    @display("Product", ordering="name")
    def product(self, product: Product) -> SafeString:
        return format_html(
            '<span class="product">{}<span><span class="strong">{}</span><br>'
            '<span class="quiet mono">{}</span></span></span>',
            thumbnail(product.image_url),
            product.name,
            product.item_id,
        )

    @display("Picture")
    def picture(self, product: Product) -> SafeString:
        return format_html('<span class="product">{}</span>', thumbnail(product.image_url))

    @display("Price", ordering="price")
    def cost(self, product: Product) -> str:
        return screen.NOTHING if product.price is None else f"{product.price:,} {product.currency}"

    @display("Stock", ordering="in_stock")
    def stock(self, product: Product) -> SafeString:
        return screen.pill("in stock", "green") if product.in_stock else screen.pill("out", "red")


def name_work(request: HttpRequest) -> str:
    """The name that the form watches its upload by; a foreign one is replaced."""
    name = request.POST.get("work", "")
    return name if WORK_NAME.fullmatch(name) else f"upload-{uuid.uuid4().hex}"


def thumbnail(url: str) -> SafeString:
    """A shop's picture; only pages of the admin that a person opened load it."""
    if not url.startswith(("https://", "http://", "/")):
        return format_html('<span class="{}"></span>', "noimage")
    return format_html(
        '<img src="{}" alt="" loading="lazy" referrerpolicy="no-referrer" width="40" height="40">',
        url,
    )


@admin.register(Upload)
class UploadAdmin(Page):
    """A file is read and compared first; what it would do is shown, and then it is applied."""

    list_display = ("file_name", "catalog", "state_now", "differences", "created_at")
    list_filter = ("state", "catalog")
    list_select_related = ("catalog",)
    ordering = ("-created_at",)
    actions = None
    actions_detail = ("apply", "discard")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display("State", ordering="state")
    def state_now(self, upload: Upload) -> SafeString:
        return screen.state_pill(upload.state)

    @display("Difference")
    def differences(self, upload: Upload) -> str:
        return describe_difference(upload.report)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            return HttpResponse(status=403)
        posted = request.method == "POST"
        form = UploadForm(request.POST, request.FILES) if posted else UploadForm()
        if posted and form.is_valid():
            file = form.cleaned_data["file"]
            title = f"Reading {file.name}"
            try:
                with telling(title, permission=MAY_SEE, key=name_work(request)) as tell:
                    upload = uploads.stage(
                        file,
                        file_name=file.name,
                        catalog=form.cleaned_data["catalog"],
                        now=clock.now(),
                        progress=tell,
                    )
                return redirect(self.url("change", upload.pk))
            except EngageError as exc:
                form.add_error("file", exc.message)
        question = Question(
            title="Upload products",
            button="Read the file",
            sentences=["Nothing goes live yet: you see the difference first."],
            form=form,
            work=f"upload-{uuid.uuid4().hex}",
        )
        # A wrong form is shown again, so the deed of this question is never asked for.
        return self.ask(request, question, deed=str, back=self.url("changelist"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        upload = self.row(request, object_id)
        context = {
            "title": upload.file_name,
            "upload": upload,
            "report": upload.report,
            "state": screen.state_pill(upload.state),
            "difference": list_difference(upload.report),
            "columns": list_columns(upload.report),
        }
        return self.show_row(request, upload, "admin/catalog/upload.html", context)

    def legal_buttons(self, row: Upload) -> tuple[str, ...]:
        return ("apply", "discard") if row.state == Upload.State.STAGED else ()

    @button("Apply…", icon="check_circle", tone="primary")
    def apply(self, request: HttpRequest, object_id: str) -> HttpResponse:
        upload = self.row(request, object_id)
        report = upload.report
        removed, live = report.get("removed", 0), report.get("live", 0)
        many = removed > uploads.MOST_REMOVED * live
        form = ApplyForm(request.POST if request.method == "POST" else None, many=many)
        sentences = [f"{upload.file_name}: {describe_difference(report)}."]
        if many:
            sentences.append(
                f"It would remove {screen.number(removed)} of {screen.number(live)} products. "
                "A file that was cut off looks like this. Look twice."
            )

        def deed() -> str:
            allowed = form.cleaned_data.get("allow_removals", False)
            done = uploads.apply(upload, now=clock.now(), allow_removals=allowed)
            return f"Catalog {upload.catalog} is at version {done.report['version']}."

        question = Question(
            title=f"Apply to catalog {upload.catalog}",
            button="Make it live",
            sentences=sentences,
            danger=many,
            form=form,
        )
        return self.ask(request, question, deed=deed, back=self.url("change", upload.pk))

    @button("Discard…", icon="delete")
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        upload = self.row(request, object_id)

        def deed() -> str:
            uploads.discard(upload, now=clock.now())
            return f"{upload.file_name} is discarded; everything is as it was before."

        question = Question(
            title=f"Discard {upload.file_name}",
            button="Discard the file",
            sentences=["The catalog stays as it is. One that was made for this file goes again."],
        )
        back, done = self.url("change", upload.pk), self.url("changelist")
        return self.ask(request, question, deed=deed, back=back, done=done)


KINDS = (("added", "green"), ("changed", "blue"), ("removed", "red"), ("unchanged", "grey"))


def describe_difference(report: Mapping[str, Any]) -> str:
    words = ("added", "changed", "removed", "refused")
    found = [f"{screen.number(report[word])} {word}" for word in words if word in report]
    return ", ".join(found) or screen.NOTHING


def list_difference(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each kind of difference with its count and a few products."""
    examples = report.get("examples", {})
    return [
        {
            "name": name,
            "pill": screen.pill(name, tone),
            "count": screen.number(report[name]),
            "examples": [example_line(one) for one in examples.get(name, [])],
        }
        for name, tone in KINDS
        if name in report
    ]


def example_line(one: Mapping[str, Any]) -> str:
    changes = one.get("was_now")
    if changes is None:
        return f"{one['id']} {one['name']}"
    told = (f"{name}: {write(was)} → {write(now)}" for name, (was, now) in changes.items())
    return f"{one['id']} {', '.join(told)}"


def write(value: Any) -> str:
    text = screen.NOTHING if value in (None, "") else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def list_columns(report: Mapping[str, Any]) -> list[dict[str, str]]:
    came_from = {ours: theirs for theirs, ours in report.get("renamed", {}).items()}
    return [
        {
            "name": name,
            "kind": kind,
            "came_from": came_from.get(name, ""),
            "own": "own" if name in report.get("types", {}) else "",
            "was": report["retyped"][name][0] if name in report.get("retyped", {}) else "",
        }
        for name, kind in report.get("columns", {}).items()
    ]
