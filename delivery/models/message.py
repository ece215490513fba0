"""The send ledger: one row per recipient, and every call made for it."""

from django.db import models


class Message(models.Model):
    """One recipient, one channel, one state. The row is the truth; tasks only ring.

    planned → leased → attempting → a final state; see `outbox.py` for the legal moves.
    """

    class State(models.TextChoices):
        PLANNED = "planned"
        LEASED = "leased"  # claimed, certainly not sent
        ATTEMPTING = "attempting"  # the provider may have been called
        ACCEPTED = "accepted"
        FAILED = "failed"
        SUPPRESSED = "suppressed"
        EXPIRED = "expired"
        CANCELLED = "cancelled"
        UNKNOWN = "unknown"  # called, and the answer never came

    class Quiet(models.TextChoices):
        """What becomes of it in quiet hours."""

        HOLD = "hold", "wait until they are over"
        DROP = "drop", "do not send it"
        IGNORE = "ignore", "send it all the same"
        INBOX = "inbox", "put it into the inbox"
        EMAIL = "email", "send an e-mail instead"

    OPEN = (State.PLANNED, State.LEASED, State.ATTEMPTING)
    FINAL = (
        State.ACCEPTED,
        State.FAILED,
        State.SUPPRESSED,
        State.EXPIRED,
        State.CANCELLED,
        State.UNKNOWN,
    )

    pk = models.CompositePrimaryKey("profile_id", "id")
    profile_id = models.BigIntegerField()
    id = models.UUIDField()  # version 7
    key = models.UUIDField()  # digest of what makes it one message: run, profile, channel, address
    kind = models.CharField(
        max_length=20, default="campaign"
    )  # campaign, triggered, test, in_app, transactional
    # By value: delivery lies below campaigns, and campaigns are archived, never deleted.
    campaign_id = models.BigIntegerField()
    run_id = models.BigIntegerField(null=True)
    # Of a run that has many messages for a person: what sends this one, a wish or an event.
    occasion = models.UUIDField(null=True)
    variant_id = models.BigIntegerField()
    channel = models.CharField(max_length=20)
    # Higher first where a cap lets only some go.
    priority = models.SmallIntegerField(default=50, db_default=50)
    quiet = models.CharField(
        max_length=6, choices=Quiet.choices, default=Quiet.HOLD, db_default="hold"
    )
    # What its slots show is worth so much, as far as it can be foreseen; null: not looked at yet.
    worth = models.FloatField(null=True)
    address_id = models.CharField(max_length=255, blank=True)  # push: device id; email: ""
    topic = models.CharField(max_length=100, blank=True)  # of the consent it needs; "": channel's
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    # Of a final state other than accepted; of one attempting, "heard": a receipt told of it.
    reason = models.CharField(max_length=100, blank=True)
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempt = models.SmallIntegerField(default=0)
    # Of these, so many were made before it was sent again by hand; see `replay.py`.
    calls_before = models.SmallIntegerField(default=0, db_default=0)
    # How often it was given back because its holder died; see `claiming.claim`.
    returned = models.SmallIntegerField(default=0, db_default=0)
    marked_at = models.DateTimeField(null=True)  # when the last call was allowed
    provider_id = models.CharField(max_length=255, blank=True)
    # Of the address that it was marked for: a late bounce is about that one, not the present one.
    address_digest = models.UUIDField(null=True)
    # What the slots showed, written with the mark. Of each product: slot, item, rank, rung,
    # source, price, f (what was known of it, in numbers), p (how likely it was to stand there)
    # and, where that was left to chance, arm and arms. Of each slot that found too few: slot,
    # short (what it did then), found, needed. Of a template that aborted: aborted (its word).
    items = models.JSONField(default=list)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile_id", "key"], name="message_send_key"),
            models.CheckConstraint(
                name="message_lease_while_working",
                condition=~models.Q(state__in=["leased", "attempting"])
                | models.Q(lease_token__isnull=False, lease_until__isnull=False),
            ),
        ]
        indexes = [
            # claiming what is due, run by run: a paused run costs the others nothing
            models.Index(fields=["channel", "run_id", "not_before"], name="message_due",
                         condition=models.Q(state="planned")),
            # claiming what died with its holder, apart from the others; nearly always empty
            models.Index(fields=["channel", "returned"], name="message_returned",
                         condition=models.Q(state="planned", returned__gt=0)),
            # closing what expired before anybody claimed it
            models.Index(fields=["expires_at"], name="message_expiring",
                         condition=models.Q(state="planned")),
            # reaping expired leases
            models.Index(fields=["lease_until"], name="message_leased",
                         condition=models.Q(state__in=["leased", "attempting"])),
            # the sums of a run; and of its last days, for one that goes on for months
            models.Index(fields=["run_id", "state", "finished_at"], name="message_run_ended"),
            # the figures of a campaign
            models.Index(fields=["campaign_id", "state"], name="message_campaign"),
            # a receipt names a message by its key, or by what the provider called it
            models.Index(fields=["key"], name="message_key",
                         condition=models.Q(channel__in=["email", "sms"])),
            models.Index(fields=["provider_id"], name="message_provider",
                         condition=models.Q(channel__in=["email", "sms"])
                         & ~models.Q(provider_id="")),
            # whether a receiver of webhooks took something lately
            models.Index(fields=["address_digest", "finished_at"], name="message_receiver",
                         condition=models.Q(channel="webhook", state="accepted")),
            # who was written to on a number: an answer says no more than that
            models.Index(fields=["address_digest"], name="message_number",
                         condition=models.Q(channel="sms")),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"message {self.id}"


class SendAttempt(models.Model):
    """Append-only: one provider call and what became of it."""

    pk = models.CompositePrimaryKey("profile_id", "id")
    profile_id = models.BigIntegerField()
    id = models.UUIDField()  # version 7
    message_id = models.UUIDField(db_index=True)
    attempt = models.SmallIntegerField()
    lease_token = models.UUIDField()
    outcome = models.CharField(max_length=20)  # accepted, refused, unavailable, unknown, fenced
    detail = models.CharField(max_length=255, blank=True)  # the provider's word; no addresses
    provider_id = models.CharField(max_length=255, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.message_id}"
