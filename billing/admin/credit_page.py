"""The page on which staff give back a part or all of an invoice."""

import re
from dataclasses import dataclass
from typing import Any, get_args

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone

from billing.gateways import StripeAway, StripeRefused
from billing.models import Invoice
from billing.money import money
from billing.services import credits
from tenants.requests import staff_of

_AMOUNT = re.compile(r"(\d{1,9})(?:[.,](\d{1,2}))?", re.ASCII)
_KINDS = [(kind, kind.replace("_", " ").capitalize()) for kind in get_args(credits.Reason)]
_AWAY = (
    "Stripe does not answer, so nothing is written down as given. Send this again in a minute:"
    " what Stripe may have taken already is not given twice."
)


class NotUnderstood(ValueError):
    """The form does not say what is to be given back; the text is for people."""


@dataclass(frozen=True, slots=True)
class Wish:
    amount_minor: int
    refund: bool
    kind: credits.Reason
    memo: str
    n_seen: int


def answer(request: HttpRequest, invoice: Invoice, context: dict[str, Any]) -> HttpResponse:
    """Show the form, or do what it says and lead back to the invoice.

    The form carries how many credit notes it has seen, so that the same one sent twice gives once.
    """
    error, status = "", 200
    if request.method == "POST":
        try:
            return _given(request, invoice, _read(request.POST, invoice))
        except (NotUnderstood, credits.NotCreditable) as refusal:
            error, status = _words(refusal, invoice), 422
        except StripeRefused as refusal:
            error, status = f"Stripe refused, and nothing was given back: {refusal}", 422
        except StripeAway:
            error, status = _AWAY, 503
        # Stripe may have been heard meanwhile.
        invoice.refresh_from_db()
    n_seen = request.POST.get("n_seen") if error else None
    shown = {
        **context,
        "title": f"Credit for invoice {invoice}",
        "invoice": invoice,
        "left": _money(credits.left_to_credit(invoice), invoice),
        "left_minor": credits.left_to_credit(invoice),
        "to_card": _money(credits.left_to_credit(invoice, refund=True), invoice),
        "to_card_minor": credits.left_to_credit(invoice, refund=True),
        "kinds": _KINDS,
        "n_seen": n_seen or invoice.credit_notes.count(),
        "typed": request.POST,
        "error": error,
    }
    return render(request, "admin/billing/credit.html", shown, status=status)


def _given(request: HttpRequest, invoice: Invoice, wish: Wish) -> HttpResponse:
    try:
        note = credits.credit(
            invoice=invoice,
            amount_minor=wish.amount_minor,
            refund=wish.refund,
            reason=wish.kind,
            memo=wish.memo,
            by=staff_of(request),
            at=timezone.now(),
            n_seen=wish.n_seen,
        )
    except credits.GivenMeanwhile:
        messages.warning(
            request,
            "This form gave nothing back: there are credit notes below that it did not know, from"
            " the same form sent twice or from somebody else. Begin anew if more is to be given.",
        )
    else:
        given = _money(note.amount_minor, invoice)
        messages.success(request, f"{given} of {invoice} given back: credit note {note}.")
    return redirect("admin:billing_invoice_change", invoice.pk)


def _read(typed: QueryDict, invoice: Invoice) -> Wish:
    """Raises NotUnderstood."""
    memo = " ".join(typed.get("memo", "").replace("\x00", " ").split())[: credits.MAX_MEMO]
    kind = next((kind for kind in get_args(credits.Reason) if kind == typed.get("kind")), None)
    if not memo or kind is None:
        raise NotUnderstood("Say why: the reason stands on the credit note, and in the audit log.")
    amount = _AMOUNT.fullmatch(typed.get("amount", "").strip())
    amount_minor = int(amount[1]) * 100 + int((amount[2] or "").ljust(2, "0")) if amount else 0
    if not amount_minor:
        raise NotUnderstood("Write an amount above zero, with at most two decimals: 12.50")
    where = typed.get("to", "")
    if invoice.status == "paid" and where not in ("card", "balance"):
        raise NotUnderstood("Say where it goes: to the card or to the balance.")
    n_seen = typed.get("n_seen", "")
    if not (n_seen.isascii() and n_seen.isdigit()):
        raise NotUnderstood("The form is not whole. Open this page anew.")
    return Wish(amount_minor, where == "card", kind, memo, int(n_seen))


def _words(refusal: Exception, invoice: Invoice) -> str:
    left = getattr(refusal, "left_minor", None)
    if left is None:
        return str(refusal)
    if not left:
        return "Nothing is left of this invoice that can be given back this way."
    return f"At most {_money(left, invoice)} of this invoice can be given back this way."


def _money(amount_minor: int, invoice: Invoice) -> str:
    return money(amount_minor, invoice.currency)
