"""What was decided here beside plan and end is brought to Stripe: one call for the jobs."""

from datetime import datetime

import structlog

from billing.gateways import StripeRefused
from billing.services import add_ons, details, discounts, prepaying
from billing.services.standing import announce_code_refused, announce_declined

log = structlog.get_logger()


def tell_rest(*, account_id: str, at: datetime) -> None:
    """Tell Stripe of details, a code, add-ons and machines by the year, as far as it lacks them.

    What Stripe refuses is logged and does not keep the others waiting.

    Raises:
        StripeAway: from the gateway; call again.
    """
    for step in (_details, _code, _add_ons, _yearly):
        try:
            step(account_id, at)
        except StripeRefused:
            log.exception("billing.telling.refused", account=account_id, step=step.__name__)


def _yearly(account_id: str, at: datetime) -> None:
    words = prepaying.settle(account_id=account_id, at=at)
    if words:
        announce_declined(account_id=account_id, reason=words, at=at)


def _details(account_id: str, at: datetime) -> None:
    details.tell(account_id=account_id, at=at)


def _code(account_id: str, at: datetime) -> None:
    words = discounts.tell(account_id=account_id, at=at)
    if words:
        announce_code_refused(account_id=account_id, reason=words, at=at)


def _add_ons(account_id: str, at: datetime) -> None:
    add_ons.tell(account_id=account_id, at=at)
