"""What can be asked: usage and its forecast, invoices, what fits, and what waits to be done."""

from billing.selectors.accounts import (
    account,
    account_of,
    accounts_at_stripe,
    accounts_to_review,
    invoices,
    subscription_of,
    unopened_subscriptions,
)
from billing.selectors.fit import Excess, excess, machines_in_use
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
    "DayRange",
    "DayTotal",
    "Excess",
    "MachineCost",
    "MeterUsage",
    "OtherLine",
    "UsageSummary",
    "account",
    "account_of",
    "accounts_at_stripe",
    "accounts_to_review",
    "excess",
    "invoices",
    "machines_in_use",
    "subscription_of",
    "unopened_subscriptions",
    "usage_summary",
]
