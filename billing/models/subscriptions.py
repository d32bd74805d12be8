"""Plans in force, machines paid for a year, add-ons, and what Stripe last said of them."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.accounts import BillingAccount


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
    version = models.IntegerField(default=1, db_default=1)  # of the price list
    # Takes effect with the next month; "start" ends the subscription then.
    next_plan = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.STARTING)
    stripe_id = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001
    started_at = models.DateTimeField()
    trial_end = models.DateTimeField(null=True, blank=True)
    # Stripe counts no usage before this: the start, or when the prices were last exchanged.
    metered_from = models.DateTimeField()
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    # Cancelled for good: at its end the factory is closed rather than put on Start.
    closes_factory = models.BooleanField(default=False, db_default=False)
    # When it is to end, as decided here; and whether Stripe knows what was last decided.
    ends_at = models.DateTimeField(null=True, blank=True)
    end_told = models.BooleanField(default=True, db_default=True)
    has_card = models.BooleanField(default=False, db_default=False)  # to be charged with
    promotion_code = models.CharField(max_length=40, blank=True, db_default="")
    percent_off = models.IntegerField(null=True, blank=True)  # what Stripe takes off by a coupon
    discount_ends_at = models.DateTimeField(null=True, blank=True)
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
    version = models.IntegerField(default=1, db_default=1)
    starts_at = models.DateTimeField()
    is_trial = models.BooleanField(default=False, db_default=False)
    # What was left of the month's allowances when a larger plan took over in its midst, by item;
    # null where the month begins anew.
    carried = models.JSONField(null=True, blank=True)
    # The Stripe side of a change between paid plans: asked for, and done there.
    exchange_wanted = models.BooleanField(default=False, db_default=False)
    exchanged_at = models.DateTimeField(null=True, blank=True)
    written_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "starts_at"], name="one_term_an_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} from {self.starts_at:%Y-%m-%d %H:%M}"


class YearlyMachines(models.Model):
    """Machines paid for twelve months in advance: a subscription of its own at Stripe."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        BillingAccount, on_delete=models.PROTECT, related_name="yearly_machines"
    )
    plan = models.CharField(max_length=20)
    version = models.IntegerField()
    n_machines = models.IntegerField()
    stripe_id = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001
    started_at = models.DateTimeField()
    period_end = models.DateTimeField(null=True, blank=True)
    renews = models.BooleanField(default=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(ended_at=None), name="one_live_yearly_price"
            ),
            models.CheckConstraint(condition=Q(n_machines__gt=0), name="yearly_machines_are_some"),
        ]

    def __str__(self) -> str:
        return f"{self.n_machines} machines of {self.account_id} for a year"


class PrepaidTerm(models.Model):
    """How many machines are paid in advance from an hour on."""

    account = models.ForeignKey(
        BillingAccount, on_delete=models.PROTECT, related_name="prepaid_terms"
    )
    n_machines = models.IntegerField()
    starts_at = models.DateTimeField()
    written_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "starts_at"], name="one_prepaid_term_an_hour"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.n_machines} machines from {self.starts_at:%Y-%m-%d %H:%M}"


class BookedAddOn(models.Model):
    """Something had beside the plan, as an item of the subscription at Stripe."""

    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="add_ons")
    key = models.CharField(max_length=20)
    version = models.IntegerField()
    starts_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    stripe_item_id = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "key"], condition=Q(ended_at=None), name="an_add_on_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.account_id}"
