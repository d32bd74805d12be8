"""What the owner set: when to be told, and where a meter stops."""

from django.db import models
from django.db.models import Q

from billing.models.accounts import BillingAccount
from billing.plans import Item


class Budget(models.Model):
    """What a month should cost at most; its owner is told at shares of it."""

    account = models.OneToOneField(
        BillingAccount, on_delete=models.PROTECT, primary_key=True, related_name="budget"
    )
    amount_minor = models.BigIntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="a_budget_is_an_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} of {self.account_id}"


class BudgetAlert(models.Model):
    """That a share of the budget was reached in a month, and said: once."""

    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="alerts")
    month = models.DateTimeField()
    percent = models.IntegerField()
    amount_minor = models.BigIntegerField()  # of the bill when it was said
    budget_minor = models.BigIntegerField()
    said_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "month", "percent"], name="an_alert_once_a_month"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.percent} % in {self.month:%Y-%m}"


class MeterCap(models.Model):
    """Where the owner lets a meter stop, from a month on until another row."""

    class Action(models.TextChoices):
        KEEP = "keep", "Keep what comes for some days; it can be bought back"
        REFUSE = "refuse", "Refuse what comes, with a code"

    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="caps")
    item = models.CharField(max_length=32, choices=[(i.value, i.value) for i in Item])
    month = models.DateTimeField()  # its first hour
    max_extra = models.BigIntegerField(null=True, blank=True)  # beyond the included; null: no cap
    action = models.CharField(max_length=8, choices=Action.choices)
    reached_at = models.DateTimeField(null=True, blank=True)
    # Raw readings of held hours before this are gone; their hourly figures stay.
    forgotten_to = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "item", "month"], name="a_cap_a_meter_and_month"
            ),
            models.CheckConstraint(
                condition=Q(max_extra=None) | Q(max_extra__gte=0), name="a_cap_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} from {self.month:%Y-%m}: {self.max_extra}"
