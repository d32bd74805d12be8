"""What can exist: accounts, terms of plans, the ledger, and mirrors of what Stripe says."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.plans import Meter


class BillingAccount(models.Model):
    """Who is billed for a factory. It outlives the factory: invoices must stay."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    factory = models.OneToOneField(
        "tenants.Factory", null=True, on_delete=models.SET_NULL, related_name="billing_account"
    )
    name = models.CharField(max_length=80)
    currency = models.CharField(max_length=3)
    stripe_customer_id = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001
    # A customer on a Stripe test clock lives in simulated time (demo, tests); empty elsewhere.
    test_clock_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class LedgerCursor(models.Model):
    """How far an account is counted; its row is the lock of the roll-up."""

    account = models.OneToOneField(
        BillingAccount, on_delete=models.PROTECT, primary_key=True, related_name="cursor"
    )
    counted_to = models.DateTimeField(null=True, blank=True)
    changes_seen_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.account_id} counted to {self.counted_to}"


class Subscription(models.Model):
    """A paid plan of an account, and what Stripe last said about it."""

    class Status(models.TextChoices):
        STARTING = "starting", "Being set up"  # Stripe has not answered yet
        TRIALING = "trialing", "Trial"
        ACTIVE = "active", "Active"
        INCOMPLETE = "incomplete", "Waiting for the first payment"
        PAST_DUE = "past_due", "Payment overdue"
        UNPAID = "unpaid", "Not paid"
        PAUSED = "paused", "Paused"
        CANCELED = "canceled", "Ended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        BillingAccount, on_delete=models.PROTECT, related_name="subscriptions"
    )
    plan = models.CharField(max_length=20)
    next_plan = models.CharField(max_length=20, blank=True)  # takes effect with the next month
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.STARTING)
    stripe_id = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001
    started_at = models.DateTimeField()
    # Stripe counts no usage before this: the start, or when the prices were last exchanged.
    metered_from = models.DateTimeField()
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(ended_at=None), name="one_live_subscription"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} of {self.account_id} ({self.status})"


class PlanTerm(models.Model):
    """A plan in force from an hour on, until the account's next term. Before the first: Start."""

    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="terms")
    plan = models.CharField(max_length=20)
    starts_at = models.DateTimeField()
    written_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "starts_at"], name="one_term_an_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} from {self.starts_at:%Y-%m-%d %H:%M}"


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
    meter = models.CharField(max_length=20, choices=[(m.value, m.value) for m in Meter])
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
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["account", "entry"], condition=Q(state="pending"), name="unsent_usage"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} {self.state}"


class InboxEvent(models.Model):
    """An event that Stripe delivered: stored once, its effect applied once."""

    class State(models.TextChoices):
        RECEIVED = "received", "Waiting"
        DONE = "done", "Applied"
        IGNORED = "ignored", "Nothing to do"
        DEAD = "dead", "Given up"

    event_id = models.CharField(max_length=80, primary_key=True)
    kind = models.CharField(max_length=80)
    payload = models.JSONField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.RECEIVED)
    n_attempts = models.IntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    received_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["received_at"], condition=Q(state="received"), name="inbox_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"


class Invoice(models.Model):
    """What Stripe last said about an invoice. Amounts are minor units, without tax."""

    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="invoices")
    stripe_id = models.CharField(max_length=64, unique=True)
    number = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=16)
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField()
    due_minor = models.BigIntegerField()
    paid_minor = models.BigIntegerField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    created_at = models.DateTimeField()
    finalized_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    hosted_url = models.URLField(max_length=500, blank=True)
    synced_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["account", "-created_at"])]

    def __str__(self) -> str:
        return self.number or self.stripe_id


class InvoiceLine(models.Model):
    """A line of an invoice, in Stripe's order."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    position = models.IntegerField()
    stripe_id = models.CharField(max_length=64)
    description = models.CharField(max_length=500, blank=True)
    quantity = models.BigIntegerField(null=True, blank=True)
    amount_minor = models.BigIntegerField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_a_position"),
        ]

    def __str__(self) -> str:
        return self.description
