"""Credit notes: money given back by staff for an invoice, with the reason, in the audit log."""

from datetime import datetime
from typing import Literal

import structlog
from django.db import transaction
from django.db.models import Sum

from billing.gateways import gateway
from billing.models import BillingAccount, CreditNote, Invoice
from billing.services.mirror import (
    sync_account,
    sync_credit_notes,
    write_credit_note,
    write_invoice,
)
from tenants import audit, jobs
from tenants.models import User

log = structlog.get_logger()

Reason = Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"]


class NotCreditable(Exception):
    """An invoice cannot be credited so; the text says why."""


@transaction.atomic
def credit(
    *,
    invoice: Invoice,
    amount_minor: int,
    refund: bool,
    reason: Reason,
    memo: str,
    by: User,
    at: datetime,
) -> CreditNote:
    """Give back a part or all of an invoice (minor units, tax included).

    Of a paid one the amount goes to the card (`refund`) or to the customer's balance, which the
    next invoice uses up; an open one becomes smaller. Never more than is left of it. Calling
    again after a failure gives nothing twice.

    Raises:
        NotCreditable: the amount is too large or not above zero, or the invoice is neither open
            nor paid.
        PermissionError: `by` is not of Takt's staff.
        StripeAway, StripeRefused: from the gateway; nothing was given back, or call again.
    """
    if not by.is_staff:
        raise PermissionError("credit notes are written by staff")
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=invoice.account_id)
    stripe = gateway()
    # What Stripe has by now counts: a note whose answer was lost, or one made in its dashboard.
    invoice = write_invoice(account, stripe.invoice(invoice.stripe_id), at=at)
    sync_credit_notes(account, stripe=stripe, at=at)
    _refuse_too_much(invoice, amount_minor, refund=refund)
    answer = stripe.credit_note(
        key=_key(invoice, amount_minor, refund=refund),
        invoice_id=invoice.stripe_id,
        amount=amount_minor,
        refund=refund,
        reason=reason,
        memo=memo[:300],
    )
    note = write_credit_note(account, answer, by=by)
    sync_account(account_id=str(account.pk), at=at)
    audit.record(
        action="billing.credited",
        actor=by,
        target=invoice.number or invoice.stripe_id,
        detail={
            "amount_minor": amount_minor, "currency": invoice.currency, "refund": refund,
            "reason": reason, "memo": memo, "credit_note": answer.number,
        },
        factory=account.factory,
    )  # fmt: skip
    jobs.enqueue(
        task="billing.review_standing",
        kwargs={"account_id": str(account.pk)},
        key=f"standing-{account.pk}",
    )
    log.info("billing.credited", account=str(account.pk), amount_minor=amount_minor)
    return note


def _key(invoice: Invoice, amount_minor: int, *, refund: bool) -> str:
    n_before = CreditNote.objects.filter(invoice=invoice).count()
    return f"credit-{invoice.stripe_id}-{n_before}-{amount_minor}-{refund}"


def left_to_credit(invoice: Invoice, *, refund: bool = False) -> int:
    """Return how much of an invoice can still be given back, or refunded to the card."""
    if invoice.status == "open":
        return invoice.due_minor
    if invoice.status != "paid":
        return 0
    given = CreditNote.objects.filter(invoice=invoice).exclude(status="void")
    sums = given.aggregate(all=Sum("amount_minor"), refunded=Sum("refunded_minor"))
    left = max(0, invoice.total_minor - (sums["all"] or 0))
    paid = max(0, invoice.paid_minor - (sums["refunded"] or 0))
    return min(left, paid) if refund else left


def _refuse_too_much(invoice: Invoice, amount_minor: int, *, refund: bool) -> None:
    if invoice.status not in ("open", "paid"):
        raise NotCreditable(f"This invoice is {invoice.status}; there is nothing to give back.")
    left = left_to_credit(invoice, refund=refund)
    if not 0 < amount_minor <= left:
        raise NotCreditable(f"{left} of this invoice can be given back, not {amount_minor}.")
