"""Cards that invoices are paid with, and paying what is open now."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from billing.answers import StripeCard, StripeInvoice
from billing.gateways import StripeGateway, StripeRefused, gateway
from billing.models import BillingAccount, Invoice
from billing.services.accounts import account_for
from billing.services.mirror import sync_account
from billing.services.standing import review_standing
from billing.services.subscriptions import live_subscription
from tenants import audit
from tenants.models import Factory, User

log = structlog.get_logger()


class UnknownCard(Exception):
    """The account has no such card."""


class CardNeeded(Exception):
    """The last card stays while something is to be paid; the text says what."""


@dataclass(frozen=True, slots=True)
class Paid:
    """All open invoices are paid; minor units."""

    n_invoices: int
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Declined:
    """A payment was declined; the invoices before it are paid."""

    words: str  # the bank's
    n_paid: int


def cards(factory: Factory) -> list[StripeCard]:
    """Return a factory's cards, newest first.

    Raises:
        StripeAway: from the gateway.
    """
    account = account_for(factory)
    if not account.stripe_customer_id:
        return []
    return gateway().payment_methods(account.stripe_customer_id)


def use_as_default(*, factory: Factory, card_id: str, by: User | None, at: datetime) -> None:
    """Pay the invoices to come with a card that the account has.

    Raises:
        UnknownCard: it is not the account's.
        StripeAway, StripeRefused: from the gateway.
    """
    account, _card = _own_card(factory, card_id)
    _set_default(account, card_id, gateway(), at=at)
    audit.record(action="billing.card_chosen", actor=by, target=card_id, factory=factory)


def _set_default(
    account: BillingAccount, card_id: str, stripe: StripeGateway, *, at: datetime
) -> None:
    stripe.set_default_card(
        key=f"default-{account.pk.hex}-{card_id}-{at.timestamp():.0f}",
        customer_id=account.stripe_customer_id or "",
        card_id=card_id,
    )


def _own_card(factory: Factory, card_id: str) -> tuple[BillingAccount, StripeCard]:
    for card in cards(factory):
        if card.id == card_id:
            return account_for(factory), card
    raise UnknownCard(card_id)


def forget_card(*, factory: Factory, card_id: str, by: User | None, at: datetime) -> None:
    """Have Stripe forget a card; the newest of the others takes its place.

    Raises:
        UnknownCard: it is not the account's.
        CardNeeded: it is the last one and something is, or will be, to be paid.
        StripeAway, StripeRefused: from the gateway.
    """
    account, card = _own_card(factory, card_id)
    others = [other for other in cards(factory) if other.id != card_id]
    if not others:
        _refuse_last(account, at=at)
    stripe = gateway()
    if card.is_default and others:
        _set_default(account, others[0].id, stripe, at=at)
    stripe.detach_card(key=f"forget-{card_id}", card_id=card_id)
    sync_account(account_id=str(account.pk), at=at)
    audit.record(action="billing.card_forgotten", actor=by, target=card_id, factory=factory)


def _refuse_last(account: BillingAccount, *, at: datetime) -> None:
    if open_invoices(account):
        raise CardNeeded("An invoice is open; pay it before you remove the last card.")
    live = live_subscription(account)
    if live is not None and (live.trial_end is None or at >= live.trial_end):
        raise CardNeeded("The plan is charged to this card; add another one before you remove it.")


def open_invoices(account: BillingAccount) -> list[Invoice]:
    """Return what is to be paid, oldest first."""
    rows = Invoice.objects.filter(account=account, status="open", due_minor__gt=0)
    return list(rows.order_by("created_at", "pk"))


def pay_now(*, factory: Factory, by: User | None, at: datetime) -> Paid | Declined:
    """Charge the card for all open invoices, oldest first, and open what their payment opens.

    Stops at the first payment that is declined. Without anything open it pays nothing.

    Raises:
        StripeAway: from the gateway; calling again pays nothing twice.
    """
    account = account_for(factory)
    if not account.stripe_customer_id:
        return Paid(0, 0, account.currency)
    stripe = gateway()
    paid, words = _pay_open(account, stripe)
    sync_account(account_id=str(account.pk), at=at)
    review_standing(account_id=str(account.pk), at=at)
    amount = sum(invoice.amount_due for invoice in paid)
    audit.record(
        action="billing.paid_now",
        actor=by,
        detail={"n_invoices": len(paid), "amount_minor": amount, "declined": bool(words)},
        factory=factory,
    )
    if words:
        return Declined(words, len(paid))
    return Paid(len(paid), amount, account.currency)


def _pay_open(account: BillingAccount, stripe: StripeGateway) -> tuple[list[StripeInvoice], str]:
    """Pay what Stripe says is open; return what was paid, and why the next one was not."""
    found = stripe.invoices(account.stripe_customer_id or "")
    due = [i for i in found if i.status == "open" and i.amount_due > 0]
    paid = []
    for invoice in sorted(due, key=lambda i: (i.created_at, i.id)):
        try:
            paid.append(_pay(invoice, stripe))
        except StripeRefused as refusal:
            now = stripe.invoice(invoice.id)
            if now.status == "paid":  # by Stripe itself, or in another window
                paid.append(now)
                continue
            log.info("billing.payment.declined", account=str(account.pk), code=refusal.code)
            return paid, str(refusal)
    return paid, ""


def _pay(invoice: StripeInvoice, stripe: StripeGateway) -> StripeInvoice:
    # With the attempts: a decline is kept under its key, and another card makes another try.
    return stripe.pay_invoice(
        key=f"pay-{invoice.id}-{invoice.attempt_count}", invoice_id=invoice.id
    )
