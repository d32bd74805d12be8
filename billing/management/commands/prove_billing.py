"""`manage.py prove_billing`: make the proof now, and say what differs."""

from typing import Any

from django.core.management.base import BaseCommand

from billing import services
from billing.selectors import proofs


class Command(BaseCommand):
    help = "Prove that facts, ledger and Stripe agree; repair and list what does not."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Exit with status 1 where a difference is left to staff, or an account failed."""
        run = services.prove(report=self._report)
        for line in proofs.proof_lines(run).exclude(n_differences=0, error=""):
            self.stdout.write(f"{line.account.name}, {line.month:%B %Y}: {line.error}")
            for found in line.differences:
                self.stdout.write(
                    "  {meter}: facts {facts}, ledger {ledger}, Stripe {stripe}: {repair}".format(
                        **found
                    )
                )
        self.stdout.write(
            f"{run.n_accounts} accounts, {run.n_sums} sums: {run.n_differences} differences,"
            f" {run.n_repaired} repaired; {run.n_failed} could not be compared."
        )
        if run.n_failed or run.n_repaired < run.n_differences:
            raise SystemExit(1)

    def _report(self, _share: float, words: str) -> None:
        self.stderr.write(words)
