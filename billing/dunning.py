"""How an account stands, from what is wrong and since when. Pure.

What is not paid, or not covered by a plan, leads step by step to the end; a payment (or a plan
that covers what is used) leads back from every step at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.models.accounts import BillingAccount

Standing = BillingAccount.Standing
Cause = BillingAccount.Cause

GRACE = timedelta(days=14)  # everything works; a banner and mails ask for the payment
READ_ONLY = timedelta(days=14)  # devices go on sending, people only read
EXPORT_WINDOW = timedelta(days=30)  # nothing but paying, or taking the data along
# Days after the cause at which the owner is written to while the grace lasts.
REMINDER_DAYS = (0, 3, 7, 12)


@dataclass(frozen=True, slots=True)
class Step:
    """How an account stands, and until when."""

    standing: Standing
    until: datetime | None


def step(cause: str, since: datetime | None, at: datetime) -> Step:
    """Return how an account stands at a moment.

    Args:
        cause: what is wrong, of `BillingAccount.Cause`; "" where nothing is.
        since: when that began.
    """
    if not cause or since is None:
        return Step(Standing.GOOD, None)
    for standing, until in schedule(cause, since):
        if at < until:
            return Step(standing, until)
    return Step(Standing.DELETED, None)


def schedule(cause: str, since: datetime) -> list[tuple[Standing, datetime]]:
    """Return the steps that a cause leads through, each with its end; then comes the deletion."""
    if cause == Cause.CANCELLED:
        return [(Standing.SUSPENDED, since + EXPORT_WINDOW)]
    grace = since + GRACE
    read_only = grace + READ_ONLY
    return [
        (Standing.PAST_DUE, grace),
        (Standing.READ_ONLY, read_only),
        (Standing.SUSPENDED, read_only + EXPORT_WINDOW),
    ]
