"""Credit notes: money given back by staff for an invoice, with the reason, in the audit log."""

from contextlib import suppress
from datetime import datetime
from typing import Literal

import structlog
from django.db import transaction
from django.db.models import Sum

from billing.gateways import StripeAway, gateway
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
MAX_MEMO = 300


class NotCreditable(Exception):
    """An invoice cannot be credited so; the text says why.

    `left_minor` is what can be given back the same way, None where the invoice is not of a kind
    of which anything can be.
    """

    def __init__(self, message: str, *, left_minor: int | None = None) -> None:
        super().__init__(message)
        self.left_minor = left_minor


class GivenMeanwhile(Exception):
    """There are other credit notes of the invoice than the caller has seen."""


def credit(
    *,
    invoice: Invoice,
    amount_minor: int,
    refund: bool,
    reason: Reason,
    memo: str,
    by: User,
    at: datetime,
    n_seen: int | None = None,
) -> CreditNote:
    """Give back a part or all of an invoice (minor units, tax included).

    Of a paid one the amount goes to the card (`refund`) or to the customer's balance, which the
    next invoice uses up; an open one becomes smaller. Never more than is left of it. Calling
    again after a failure gives nothing twice.

    Args:
        n_seen: how many credit notes the invoice had when `by` decided. The same decision sent
            twice gives once; one whose answer was lost is found again and written down as given.

    Raises:
        NotCreditable: the amount is too large or not above zero, or the invoice is neither open
            nor paid.
        GivenMeanwhile: the invoice has other credit notes than `n_seen`; nothing was given back.
        PermissionError: `by` is not of Takt's staff.
        StripeAway, StripeRefused: from the gateway; nothing was given back, or call again.
    """
    if not by.is_staff:
        raise PermissionError("credit notes are written by staff")
    _hear(invoice, at=at)
    with transaction.atomic():
        account = _locked(invoice)
        invoice = Invoice.objects.get(pk=invoice.pk)
        refund = refund and invoice.status == "paid"
        note = None
        if n_seen is not None:
            note = _unanswered(invoice, amount_minor, reason, memo, refund=refund, n_seen=n_seen)
        if note is None:
            _refuse_too_much(invoice, amount_minor, refund=refund)
            note = _give(account, invoice, amount_minor, reason, memo, refund=refund, by=by)
        else:
            note.by = by
            note.save(update_fields=["by"])
        # What is given is given: where Stripe went away since, the reconciler brings the rest.
        with suppress(StripeAway):
            sync_account(account_id=str(account.pk), at=at)
        _record(account, note, refund=refund)
    log.info("billing.credited", account=str(account.pk), amount_minor=amount_minor)
    return note


def _locked(invoice: Invoice) -> BillingAccount:
    return BillingAccount.objects.select_for_update(of=("self",)).get(pk=invoice.account_id)


@transaction.atomic
def _hear(invoice: Invoice, *, at: datetime) -> None:
    """Keep what Stripe has by now: a note whose answer was lost, or one made in its dashboard.

    In a transaction of its own, so that it is known also where nothing is given then.
    """
    account, stripe = _locked(invoice), gateway()
    write_invoice(account, stripe.invoice(invoice.stripe_id), at=at)
    sync_credit_notes(account, stripe=stripe, at=at)


def _unanswered(
    invoice: Invoice, amount_minor: int, reason: Reason, memo: str, *, refund: bool, n_seen: int
) -> CreditNote | None:
    """Return the note of an earlier try whose answer was lost, if there is one.

    Raises:
        GivenMeanwhile: there are other notes than the caller has seen.
    """
    notes = CreditNote.objects.filter(invoice=invoice)
    n_now = notes.count()
    if n_now == n_seen:
        return None
    same = notes.filter(by=None, amount_minor=amount_minor, reason=reason, memo=memo[:MAX_MEMO])
    if n_now == n_seen + 1:
        newest = same.order_by("-created_at", "-pk").first()
        if newest is not None and bool(newest.refunded_minor) == refund:
            return newest
    raise GivenMeanwhile


def _give(
    account: BillingAccount,
    invoice: Invoice,
    amount_minor: int,
    reason: Reason,
    memo: str,
    *,
    refund: bool,
    by: User,
) -> CreditNote:
    answer = gateway().credit_note(
        key=_key(invoice, amount_minor, refund=refund),
        invoice_id=invoice.stripe_id,
        amount=amount_minor,
        refund=refund,
        reason=reason,
        memo=memo[:MAX_MEMO],
    )
    return write_credit_note(account, answer, by=by)


def _record(account: BillingAccount, note: CreditNote, *, refund: bool) -> None:
    audit.record(
        action="billing.credited",
        actor=note.by,
        target=str(note.invoice),
        detail={
            "amount_minor": note.amount_minor, "currency": note.invoice.currency,
            "refund": refund, "reason": note.reason, "memo": note.memo,
            "credit_note": note.number,
        },
        factory=account.factory,
    )  # fmt: skip
    jobs.enqueue(
        task="billing.review_standing",
        kwargs={"account_id": str(account.pk)},
        key=f"standing-{account.pk}",
    )


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
        raise NotCreditable(
            f"{left} of this invoice can be given back, not {amount_minor}.", left_minor=left
        )
