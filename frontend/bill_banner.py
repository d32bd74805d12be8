"""The line above every page while something is to be paid or chosen, with what to do."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from billing import selectors as billing_selectors
from billing.models import BillingAccount
from frontend.formats import local
from tenants.models import Factory
from tenants.permissions import allowed
from tenants.standing import Standing, limits_of

TRIAL_WARNING = timedelta(days=7)
Cause = BillingAccount.Cause

_HEADS = {
    Cause.UNPAID: "An invoice could not be collected.",
    Cause.NO_PLAN: "No plan covers what this factory uses.",
    Cause.CANCELLED: "The subscription has ended, as it was asked for.",
}
_ACTIONS = {
    Cause.UNPAID: ("Pay now", "frontend:payment"),
    Cause.NO_PLAN: ("Choose a plan", "frontend:plan"),
    Cause.CANCELLED: ("Choose a plan", "frontend:plan"),
}
_WORDS = {
    Standing.PAST_DUE: "Everything works until {until}. From then on it can only be read, while"
    " devices go on sending.",
    Standing.READ_ONLY: "Nothing can be changed now. Devices go on sending and nothing is lost"
    " until {until}; then they are refused.",
    Standing.SUSPENDED: "Devices are refused. All data are kept until {until}, then deleted.",
}


@dataclass(frozen=True)
class Banner:
    """What is wrong, until when, and the way out for those who may take it."""

    head: str
    words: str
    is_urgent: bool
    action: str = ""
    url: str = ""


def banner_of(factory: Factory, *, role: str, now: datetime) -> Banner | None:
    """Return what a member must know of the bill on every page, or None.

    Makes no query while all is well and nobody looks who may pay, otherwise one.
    """
    limits = limits_of(factory)
    if limits is None:
        return None
    may_pay = allowed(role, "billing.manage")
    if limits.standing in _WORDS:
        words = _WORDS[Standing(limits.standing)].format(until=_day(limits.standing_until))
        is_urgent = limits.standing != Standing.PAST_DUE
        if not may_pay:
            words += " An owner or an admin can settle it."
            return Banner("The bill of this factory is not settled.", words, is_urgent)
        return _for_payers(factory, words, is_urgent=is_urgent)
    if not may_pay or limits.plan == "start":
        return None
    return _trial(factory, now)


def _for_payers(factory: Factory, words: str, *, is_urgent: bool) -> Banner:
    account = billing_selectors.account_of(factory)
    cause = Cause(account.cause) if account and account.cause else Cause.UNPAID
    action, page = _ACTIONS[cause]
    return Banner(_HEADS[cause], words, is_urgent, action, reverse(page))


def _trial(factory: Factory, now: datetime) -> Banner | None:
    live = billing_selectors.subscription_of(factory)
    if live is None or live.trial_end is None or live.ends_at is not None:
        return None
    if not now < live.trial_end <= now + TRIAL_WARNING:
        return None
    ends = _day(live.trial_end)
    if live.has_card:
        words = "From then on the plan is charged by the month. Nothing is to be done."
        return Banner(f"The trial ends on {ends}.", words, is_urgent=False)
    words = "Leave a card before then to go on. Without one nothing is charged and the plan ends."
    url = reverse("frontend:payment")
    return Banner(f"The trial ends on {ends}.", words, False, "Leave a card", url)


def _day(at: datetime | None) -> str:
    if at is None:
        return "further notice"
    there = local(at)
    return f"{there.day} {there:%B %Y}"
