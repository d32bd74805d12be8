"""What can be asked: usage and its forecast, invoices, what fits, and what waits to be done."""

from billing.selectors.accounts import (
    account,
    account_of,
    accounts_at_stripe,
    accounts_to_review,
    invoices,
    payers,
    subscription_of,
    unopened_subscriptions,
)
from billing.selectors.budgets import (
    AlertView,
    BudgetView,
    CapView,
    budget_view,
    cap_views,
)
from billing.selectors.fit import Excess, excess, machines_in_use
from billing.selectors.history import (
    LedgerDay,
    counted_to,
    every_invoice,
    every_ledger_row,
    invoices_with_credits,
    ledger,
    ledger_days,
)
from billing.selectors.life import LifeView, life_view
from billing.selectors.usage import (
    DayRange,
    DayTotal,
    MachineCost,
    MeterUsage,
    OtherLine,
    UsageSummary,
    usage_summary,
)

__all__ = [
    "AlertView",
    "BudgetView",
    "CapView",
    "DayRange",
    "DayTotal",
    "Excess",
    "LedgerDay",
    "LifeView",
    "MachineCost",
    "MeterUsage",
    "OtherLine",
    "UsageSummary",
    "account",
    "account_of",
    "accounts_at_stripe",
    "accounts_to_review",
    "budget_view",
    "cap_views",
    "counted_to",
    "every_invoice",
    "every_ledger_row",
    "excess",
    "invoices",
    "invoices_with_credits",
    "ledger",
    "ledger_days",
    "life_view",
    "machines_in_use",
    "payers",
    "subscription_of",
    "unopened_subscriptions",
    "usage_summary",
]
