from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.models import Catalog, Product, Upload
from engage.lib import clock, screen
from engage.lib.admin import CappedPaginator, Page, display

LIVE = Q(products__deleted_at=None)


@admin.register(Catalog)
class CatalogAdmin(Page):
    list_display = ("name", "product_count", "stock", "own_columns", "changed")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name",)

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

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(deleted_at=None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

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
    list_display = ("file_name", "catalog", "state_now", "differences", "created_at")
    list_filter = ("state", "catalog")
    ordering = ("-created_at",)

    @display("State", ordering="state")
    def state_now(self, upload: Upload) -> SafeString:
        return screen.state_pill(upload.state)

    @display("Difference")
    def differences(self, upload: Upload) -> str:
        words = ("added", "changed", "removed", "refused")
        found = [f"{screen.number(upload.report[w])} {w}" for w in words if w in upload.report]
        return ", ".join(found) or screen.NOTHING
