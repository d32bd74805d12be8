from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Plans, the usage ledger, invoices, and Stripe behind one gateway."""

    name = "billing"

    def ready(self) -> None:
        from billing import leaving

        leaving.register()
