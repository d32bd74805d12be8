"""The ledger: what was counted, and whether Stripe was told."""

from django.db import models
from django.db.models import F, Q

from billing.models.accounts import BillingAccount
from billing.plans import Meter


class LedgerCursor(models.Model):
    """How far an account is counted; its row is the lock of the roll-up."""

    account = models.OneToOneField(
        BillingAccount, on_delete=models.PROTECT, primary_key=True, related_name="cursor"
    )
    counted_to = models.DateTimeField(null=True, blank=True)
    changes_seen_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.account_id} counted to {self.counted_to}"


class LedgerEntry(models.Model):
    """A change of what a meter holds for an hour. Append-only: a trigger refuses the rest.

    The first row of an hour is revision 0; a recount that finds something else adds a row with
    the difference, the next revision and the reason. `hour` is the hour of measured time,
    `billed_hour` the one whose month it is charged in (another only for late usage).
    """

    class Reason(models.TextChoices):
        COUNTED = "counted", "Counted"
        LATE_DATA = "late_data", "Readings that came later"
        PLAN_CHANGED = "plan_changed", "The plan was changed"

    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="ledger")
    meter = models.CharField(max_length=32, choices=[(m.value, m.value) for m in Meter])
    hour = models.DateTimeField()
    billed_hour = models.DateTimeField()
    quantity = models.BigIntegerField()
    revision = models.IntegerField(default=0)
    reason = models.CharField(max_length=14, choices=Reason.choices)
    identifier = models.CharField(max_length=100, unique=True)
    written_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "meter", "hour", "revision"], name="one_row_a_revision"
            ),
            models.CheckConstraint(condition=~Q(quantity=0), name="ledger_row_changes_something"),
            models.CheckConstraint(condition=Q(revision__gte=0), name="ledger_revision_counts_up"),
            models.CheckConstraint(
                condition=Q(billed_hour__gte=F("hour")), name="ledger_is_billed_later_only"
            ),
            models.CheckConstraint(
                condition=Q(meter__in=[m.value for m in Meter]), name="ledger_meter_is_known"
            ),
        ]
        indexes = [models.Index(fields=["account", "billed_hour", "meter"])]

    def __str__(self) -> str:
        return self.identifier


class LedgerDelivery(models.Model):
    """Whether Stripe has been told of a ledger row. A row without one is not charged."""

    class State(models.TextChoices):
        PENDING = "pending", "To be sent"
        SENT = "sent", "Sent"
        LATE = "late", "On a line of its own"  # see Adjustment
        REFUSED = "refused", "Refused by Stripe"

    entry = models.OneToOneField(
        LedgerEntry, on_delete=models.PROTECT, primary_key=True, related_name="delivery"
    )
    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    # The time under which Stripe counts it, or would have by the last attempt.
    counted_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    n_attempts = models.IntegerField(default=0)
    # How often it was sent under a name of its own after Stripe had dropped it.
    n_resent = models.IntegerField(default=0, db_default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["account", "counted_at"]),
            models.Index(
                fields=["account", "entry"], condition=Q(state="pending"), name="unsent_usage"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} {self.state}"


class Adjustment(models.Model):
    """An amount charged or given back on a line of its own, derived from the ledger or by hand."""

    class Kind(models.TextChoices):
        UPGRADE = "upgrade", "A larger plan for the rest of a month"
        LATE_USAGE = "late_usage", "Usage of a month that was billed before"

    account = models.ForeignKey(
        BillingAccount, on_delete=models.PROTECT, related_name="adjustments"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    # Which part of which month it belongs to.
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    description = models.CharField(max_length=300)
    detail = models.JSONField(default=dict)
    identifier = models.CharField(max_length=100, unique=True)
    written_at = models.DateTimeField()
    stripe_item_id = models.CharField(max_length=64, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    n_attempts = models.IntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(amount_minor=0), name="adjustment_changes_a_sum"),
        ]
        indexes = [
            models.Index(
                fields=["account", "id"], condition=Q(sent_at=None), name="unsent_adjustments"
            ),
            models.Index(fields=["account", "period_start"]),
        ]

    def __str__(self) -> str:
        return self.description
