"""Where webhooks go."""

from django.db import models


class WebhookEndpoint(models.Model):
    """A receiver. Its secret is derived (see `endpoints.py`): no column holds it."""

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField(max_length=2000)
    version = models.PositiveIntegerField(default=1, editable=False)  # of the secret
    rotated_at = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    reason = models.CharField(max_length=100, blank=True, editable=False)  # of disabling it
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [("view_secret", "Can see the secrets of webhook endpoints")]

    def __str__(self) -> str:
        return self.name
