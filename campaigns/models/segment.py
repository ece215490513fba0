"""A rule that chooses profiles."""

from django.db import models


class Segment(models.Model):
    """`rule` is data in the language of `segments/rules.py`; saving checks it."""

    name = models.CharField(max_length=100, unique=True)
    rule = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
