from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Plans, the usage ledger, invoices, and Stripe behind one gateway."""

    name = "billing"
