"""Products as tables: a catalog, its products, and the uploads that brought them."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models


class Catalog(models.Model):
    """`version` grows with every committed change; each process compares it to its snapshot."""

    name = models.CharField(
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9_-]*\Z", "Use a-z, 0-9, - and _ only.")],
    )
    version = models.BigIntegerField(default=0)
    # Of the newest deletion whose row is gone: older snapshots read everything anew.
    purged_version = models.BigIntegerField(default=0)
    columns = models.JSONField(
        default=dict, blank=True
    )  # own columns: name → type, see columns.py
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    catalog = models.ForeignKey(Catalog, models.CASCADE, related_name="products")
    item_id = models.CharField("id", max_length=255)
    name = models.CharField(max_length=500)
    category = models.CharField(max_length=255, blank=True)
    price = models.DecimalField(
        max_digits=14, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(max_length=3, blank=True)
    image_url = models.URLField(max_length=2000, blank=True)
    url = models.URLField(max_length=2000, blank=True)
    in_stock = models.BooleanField(default=True)
    group_id = models.CharField(max_length=255, blank=True)  # variants of one product share it
    extra = models.JSONField(default=dict, blank=True)  # the catalog's own columns, typed
    version = models.BigIntegerField(default=0)  # the catalog's, when this row last changed
    first_seen = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True)  # snapshots must hear of deletions

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["catalog", "item_id"], name="product_catalog_item"),
        ]
        indexes = [
            models.Index(
                fields=["catalog", "version"], name="product_changed"
            ),  # refresh by version
            models.Index(
                "catalog",
                models.F("first_seen").desc(),
                name="product_newest",
                condition=models.Q(deleted_at=None),
            ),  # new arrivals
        ]

    def __str__(self) -> str:
        return self.name


class Upload(models.Model):
    """One file, from staging to live; the report stays."""

    class State(models.TextChoices):
        STAGED = "staged"
        APPLIED = "applied"
        REFUSED = "refused"

    catalog = models.ForeignKey(Catalog, models.CASCADE, related_name="uploads")
    file_name = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=State.choices, default=State.STAGED)
    report = models.JSONField(
        default=dict
    )  # added, changed, removed, refused, columns, first bad rows
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.file_name
