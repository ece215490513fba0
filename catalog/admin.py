from django.contrib import admin

from catalog.models import Catalog, Product, Upload
from engage.lib.admin import Page


@admin.register(Catalog)
class CatalogAdmin(Page):
    pass


@admin.register(Product)
class ProductAdmin(Page):
    pass


@admin.register(Upload)
class UploadAdmin(Page):
    pass
