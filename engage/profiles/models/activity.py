"""The last things a profile did with products."""

from django.db import models

from engage.profiles.models.profile import Profile


class Activity(models.Model):
    """`touches`: newest first, at most RECENT_ITEMS records of 19 bytes; see `activity.py`."""

    profile = models.OneToOneField(Profile, models.CASCADE, primary_key=True)
    touches = models.BinaryField(default=bytes)

    class Meta:
        verbose_name_plural = "activities"

    def __str__(self) -> str:
        return f"activity of {self.profile_id}"
