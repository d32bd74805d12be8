"""What can happen: subscribing, counting, telling Stripe, hearing from Stripe."""

from billing.services.accounts import account_for, card_page, portal_page, use_card
from billing.services.changing import (
    ChangePreview,
    NotSubscribed,
    TooMuchInUse,
    cancel_subscription,
    change_plan,
    preview_change,
    reactivate,
)
from billing.services.clocks import run_clock
from billing.services.exchanging import send_adjustments, tell_end
from billing.services.inbox import apply_event, receive, replay_event
from billing.services.late_usage import settle_late_usage
from billing.services.ledger import roll_up
from billing.services.mirror import sync_account
from billing.services.reconciling import UsageDifference, usage_differences
from billing.services.reporting import Reported, report_usage
from billing.services.standing import announce_trial_end, review_standing
from billing.services.subscriptions import (
    AlreadySubscribed,
    TrialUsed,
    open_subscription,
    start_subscription,
)

__all__ = [
    "AlreadySubscribed",
    "ChangePreview",
    "NotSubscribed",
    "Reported",
    "TooMuchInUse",
    "TrialUsed",
    "UsageDifference",
    "account_for",
    "announce_trial_end",
    "apply_event",
    "cancel_subscription",
    "card_page",
    "change_plan",
    "open_subscription",
    "portal_page",
    "preview_change",
    "reactivate",
    "receive",
    "replay_event",
    "report_usage",
    "review_standing",
    "roll_up",
    "run_clock",
    "send_adjustments",
    "settle_late_usage",
    "start_subscription",
    "sync_account",
    "tell_end",
    "usage_differences",
    "use_card",
]
