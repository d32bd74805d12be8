"""The nightly proof: facts, ledger and Stripe, added up and compared."""

from django.db import models

from billing.models.accounts import BillingAccount


class ProofRun(models.Model):
    """One night's proof over all accounts."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    n_accounts = models.IntegerField(default=0)
    n_sums = models.IntegerField(default=0)
    n_differences = models.IntegerField(default=0)
    n_repaired = models.IntegerField(default=0)
    n_failed = models.IntegerField(default=0)  # accounts that could not be compared

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d}: {self.n_differences} differences"


class ProofLine(models.Model):
    """What the proof found of one account and month: a line also where nothing differs."""

    run = models.ForeignKey(ProofRun, on_delete=models.CASCADE, related_name="lines")
    account = models.ForeignKey(BillingAccount, on_delete=models.PROTECT, related_name="proofs")
    month = models.DateTimeField()
    n_sums = models.IntegerField()
    n_differences = models.IntegerField()
    n_repaired = models.IntegerField(default=0)
    # Each: {"meter", "facts", "ledger", "stripe", "repair"}; empty where nothing differs.
    differences = models.JSONField(default=list)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "account", "month"], name="one_proof_an_account_and_month"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.month:%Y-%m}: {self.n_differences}"
