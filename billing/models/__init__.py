"""What can exist: accounts, plans in force, the ledger, and mirrors of what Stripe says."""

from billing.models.accounts import BillingAccount
from billing.models.budgets import Budget, BudgetAlert, MeterCap
from billing.models.inbox import InboxEvent
from billing.models.invoices import CreditNote, Invoice, InvoiceLine
from billing.models.ledger import Adjustment, LedgerCursor, LedgerDelivery, LedgerEntry
from billing.models.proofs import ProofLine, ProofRun
from billing.models.subscriptions import (
    BookedAddOn,
    PlanTerm,
    PrepaidTerm,
    Subscription,
    YearlyMachines,
)

__all__ = [
    "Adjustment",
    "BillingAccount",
    "BookedAddOn",
    "Budget",
    "BudgetAlert",
    "CreditNote",
    "InboxEvent",
    "Invoice",
    "InvoiceLine",
    "LedgerCursor",
    "LedgerDelivery",
    "LedgerEntry",
    "MeterCap",
    "PlanTerm",
    "PrepaidTerm",
    "ProofLine",
    "ProofRun",
    "Subscription",
    "YearlyMachines",
]
