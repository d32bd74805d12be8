"""What staff see of money: who is billed, what was counted, what Stripe said."""

from billing.admin import accounts, inbox, invoices, ledger

__all__ = ["accounts", "inbox", "invoices", "ledger"]
