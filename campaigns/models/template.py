"""What a message says, and the places in it that recommendations fill."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models


class Channel(models.TextChoices):
    EMAIL = "email", "E-mail"
    PUSH = "push", "Push"
    WEB_PUSH = "web_push", "Web push"
    SMS = "sms", "SMS"
    WEBHOOK = "webhook", "Webhook"
    IN_APP = "in_app", "In-app"
    INBOX = "inbox", "Inbox"


class Template(models.Model):
    """Liquid sources. `templates.lint` checks them, `templates.save_template` saves them."""

    name = models.CharField(max_length=100, unique=True)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    subject = models.CharField(max_length=500, blank=True)  # email
    preheader = models.CharField(max_length=500, blank=True)  # email
    body = models.TextField(blank=True)  # email: MJML or HTML; webhook: JSON; others: plain text
    text = models.TextField(blank=True)  # email: the plain part; empty: made from the body
    title = models.CharField(max_length=500, blank=True)  # pushes, in-app, inbox
    image_url = models.CharField(max_length=2000, blank=True)  # as the title; Liquid allowed
    link = models.CharField(max_length=2000, blank=True)  # as the title: where a tap leads
    button = models.CharField(max_length=100, blank=True)  # in-app, inbox: the text on it
    content_type = models.CharField(max_length=20, default="modal", blank=True)  # as the button
    # email: what the body was made into, of which body and by which compiler (compiled.py).
    compiled_html = models.TextField(blank=True, default="", db_default="")
    compiled_text = models.TextField(blank=True, default="", db_default="")
    compiled_from = models.TextField(blank=True, default="", db_default="")
    compiled_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Slot(models.Model):
    """A place in a template: `{% for item in slots.NAME %}`. A rung is a step of its ladder."""

    class Short(models.TextChoices):
        DROP_BLOCK = "drop_block", "Leave the block empty"
        DROP_MESSAGE = "drop_message", "Do not send the message"

    template = models.ForeignKey(Template, models.CASCADE, related_name="slots")
    name = models.CharField(
        max_length=50, validators=[RegexValidator(r"^[a-z][a-z0-9_]*$", "Use a-z, 0-9 and _.")]
    )
    catalog = models.CharField(max_length=50, default="default")
    minimum = models.PositiveSmallIntegerField(default=1, validators=[MaxValueValidator(50)])
    maximum = models.PositiveSmallIntegerField(
        default=4, validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    ladder = models.JSONField(
        default=list, blank=True
    )  # rungs in order; empty: the default ladder
    filter = models.JSONField(default=dict, blank=True)  # in the language of catalog/filters.py
    # Leave out what the person did one of these with: {"Order Completed": 365} (event → days).
    # Empty: the usual, what they bought in a year.
    exclude_events = models.JSONField(default=dict, blank=True)
    on_short = models.CharField(max_length=12, choices=Short.choices, default=Short.DROP_BLOCK)
    repeats = models.BooleanField(default=False)  # what the person had before may come again
    without_cart = models.BooleanField(default=True)  # what is in the cart now
    without_trigger = models.BooleanField(default=True)  # what the message is about
    # In the shapes of recommendations/policy.py, which reads them; nothing set: plain relevance.
    variety = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    caps = models.JSONField(default=dict, blank=True)  # column → products
    boosts = models.JSONField(default=list, blank=True)
    pins = models.JSONField(default=list, blank=True)
    damp_after = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    block_after = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    rest_days = models.PositiveSmallIntegerField(
        default=14, validators=[MinValueValidator(1), MaxValueValidator(90)]
    )

    # Percent: how likely each of the last places is to go to what is tried little.
    explore = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(50)])

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["template", "name"], name="slot_template_name"),
            models.CheckConstraint(
                name="slot_minimum_below_maximum",
                condition=models.Q(minimum__lte=models.F("maximum")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
