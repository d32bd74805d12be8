"""Invoices and credit notes, as Stripe has them."""

from django.conf import settings
from django.db import models

from billing.models.accounts import BillingAccount


class Invoice(models.Model):
    """What Stripe last said about an invoice. Amounts are minor units; the total is with tax."""

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
    pdf_url = models.URLField(max_length=500, blank=True, db_default="")
    subtotal_minor = models.BigIntegerField(default=0, db_default=0)
    discount_minor = models.BigIntegerField(default=0, db_default=0)
    tax_minor = models.BigIntegerField(default=0, db_default=0)
    billing_reason = models.CharField(max_length=32, blank=True, db_default="")
    stripe_subscription_id = models.CharField(max_length=64, blank=True, db_default="")
    n_attempts = models.IntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["account", "-created_at"])]

    def __str__(self) -> str:
        return self.number or self.stripe_id

    @property
    def has_receipt(self) -> bool:
        """Say whether money was paid for it: not where it came to nought, or a balance paid all."""
        return self.status == "paid" and self.paid_minor > 0


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
    is_proration = models.BooleanField(default=False, db_default=False)
    price_id = models.CharField(max_length=64, blank=True, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_a_position"),
        ]

    def __str__(self) -> str:
        return self.description


class CreditNote(models.Model):
    """Money given back for an invoice, by whom and why."""

    account = models.ForeignKey(
        BillingAccount, on_delete=models.PROTECT, related_name="credit_notes"
    )
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    stripe_id = models.CharField(max_length=64, unique=True)
    number = models.CharField(max_length=60, blank=True)
    amount_minor = models.BigIntegerField()
    refunded_minor = models.BigIntegerField()  # the rest is taken off what is due or comes
    reason = models.CharField(max_length=30)  # Stripe's names
    memo = models.CharField(max_length=300, blank=True)
    pdf_url = models.URLField(max_length=500, blank=True)
    status = models.CharField(max_length=12)
    created_at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL,
        related_name="+",
    )  # fmt: skip

    def __str__(self) -> str:
        return self.number or self.stripe_id
