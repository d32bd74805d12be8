"""Who is billed, under which name, and how the account stands."""

import uuid

from django.db import models
from django.utils import timezone


class BillingAccount(models.Model):
    """Who is billed for a factory. It outlives the factory: invoices must stay."""

    class Standing(models.TextChoices):
        """How far an account is from being in order; each step is undone by a payment."""

        GOOD = "good", "In order"
        PAST_DUE = "past_due", "Payment overdue"
        READ_ONLY = "read_only", "Read only"
        SUSPENDED = "suspended", "Suspended"
        DELETED = "deleted", "Deleted"

    class Cause(models.TextChoices):
        UNPAID = "unpaid", "An invoice is not paid"
        NO_PLAN = "no_plan", "No plan that covers what is used"
        CANCELLED = "cancelled", "Cancelled by the owner"

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

    # What stands on invoices; told to Stripe whenever it changes.
    legal_name = models.CharField(max_length=120, blank=True, db_default="")
    email = models.EmailField(blank=True, db_default="")
    line1 = models.CharField(max_length=120, blank=True, db_default="")
    line2 = models.CharField(max_length=120, blank=True, db_default="")
    postal_code = models.CharField(max_length=20, blank=True, db_default="")
    city = models.CharField(max_length=80, blank=True, db_default="")
    country = models.CharField(max_length=2, blank=True, db_default="")  # ISO 3166-1 alpha-2
    tax_id_type = models.CharField(max_length=16, blank=True, db_default="")  # Stripe's names
    tax_id = models.CharField(max_length=40, blank=True, db_default="")
    details_changed_at = models.DateTimeField(null=True, blank=True)
    details_told_at = models.DateTimeField(null=True, blank=True)

    trial_used_at = models.DateTimeField(null=True, blank=True)
    standing = models.CharField(
        max_length=12, choices=Standing.choices, default=Standing.GOOD, db_default="good"
    )
    cause = models.CharField(max_length=12, choices=Cause.choices, blank=True, db_default="")
    # Since when the cause holds: all later steps are counted from here.
    overdue_since = models.DateTimeField(null=True, blank=True)
    standing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["overdue_since"],
                condition=models.Q(overdue_since__isnull=False),
                name="accounts_not_in_order",
            ),
        ]

    def __str__(self) -> str:
        return self.name
