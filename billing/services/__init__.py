"""What can happen: subscribing, counting, telling Stripe, hearing from Stripe."""

from billing.services.accounts import account_for, card_page, portal_page, use_card
from billing.services.clocks import run_clock
from billing.services.inbox import apply_event, receive, replay_event
from billing.services.ledger import roll_up
from billing.services.mirror import sync_account
from billing.services.reconciling import UsageDifference, usage_differences
from billing.services.reporting import Reported, report_usage
from billing.services.subscriptions import (
    AlreadySubscribed,
    NotSubscribed,
    apply_next_plan,
    change_plan,
    open_subscription,
    start_subscription,
)

__all__ = [
    "AlreadySubscribed",
    "NotSubscribed",
    "Reported",
    "UsageDifference",
    "account_for",
    "apply_event",
    "apply_next_plan",
    "card_page",
    "change_plan",
    "open_subscription",
    "portal_page",
    "receive",
    "replay_event",
    "report_usage",
    "roll_up",
    "run_clock",
    "start_subscription",
    "sync_account",
    "usage_differences",
    "use_card",
]
