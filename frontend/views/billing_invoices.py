"""Invoices with their lines and files, and everything that was billed as tables."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import connection
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from billing import documents, receipts, tables
from billing import selectors as billing_selectors
from billing.gateways import StripeAway
from billing.models import Invoice
from frontend import bill_invoices
from frontend.pages import may, page
from tenants import streaming
from tenants.requests import PortalRequest
from tenants.standing import works_suspended

VIEW = "billing.view"
INVOICES_A_PAGE = 24


@works_suspended
@require_GET
@page(VIEW)
def invoices(request: PortalRequest) -> HttpResponse:
    found = billing_selectors.invoices_with_credits(request.factory)
    chosen = Paginator(found, INVOICES_A_PAGE).get_page(request.GET.get("page"))
    context = {"invoices": bill_invoices.invoice_rows(chosen), "chosen": chosen}
    return render(request, "frontend/invoices.html", context)


def _invoice(request: PortalRequest, invoice_id: int) -> Invoice:
    found = billing_selectors.invoices_with_credits(request.factory).filter(pk=invoice_id).first()
    if found is None:
        raise Http404
    return found


@works_suspended
@require_GET
@page(VIEW)
def invoice(request: PortalRequest, invoice_id: int) -> HttpResponse:
    shown = bill_invoices.invoice_page(_invoice(request, invoice_id))
    context = {"invoice": shown, "may_manage": may(request, "billing.manage")}
    return render(request, "frontend/billing/invoice.html", context)


@works_suspended
@require_GET
@page(VIEW)
def invoice_pdf(request: PortalRequest, invoice_id: int) -> HttpResponse:
    found = _invoice(request, invoice_id)
    return _file(request, found, url=found.pdf_url, name=found.number or "draft")


@works_suspended
@require_GET
@page(VIEW)
def invoice_receipt(request: PortalRequest, invoice_id: int) -> HttpResponse:
    found = _invoice(request, invoice_id)
    try:
        body = receipts.receipt(found, zone=ZoneInfo(request.factory.time_zone))
    except receipts.NoReceipt:
        raise Http404 from None
    except StripeAway:
        messages.error(
            request, "The payment provider does not answer, so the receipt cannot be made now."
        )
        return redirect("frontend:invoice", invoice_id=found.pk)
    return _attached(body, receipts.file_name(found))


@works_suspended
@require_GET
@page(VIEW)
def credit_note_pdf(request: PortalRequest, invoice_id: int, credit_note_id: int) -> HttpResponse:
    found = _invoice(request, invoice_id)
    note = found.credit_notes.filter(pk=credit_note_id).first()
    if note is None:
        raise Http404
    return _file(request, found, url=note.pdf_url, name=note.number or "credit-note")


def _file(request: PortalRequest, found: Invoice, *, url: str, name: str) -> HttpResponse:
    """Hand on a PDF that Stripe made. Its address stays here: whoever has it can open it."""
    try:
        body = documents.pdf(url)
    except documents.NoDocument:
        messages.info(request, "There is no PDF of this yet. It is made when the invoice is final.")
    except StripeAway:
        messages.error(
            request, "The payment provider does not answer, so the PDF cannot be fetched now."
        )
    else:
        safe = "".join(c for c in name if c.isalnum() or c in "-_")
        return _attached(body, f"{safe}.pdf")
    return redirect("frontend:invoice", invoice_id=found.pk)


def _attached(body: bytes, name: str) -> HttpResponse:
    answer = HttpResponse(body, content_type="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


_TABLES = {"invoices": tables.INVOICES, "lines": tables.LINES, "usage": tables.USAGE}


@works_suspended
@require_GET
@page(VIEW)
def history(request: PortalRequest, table: str) -> StreamingHttpResponse:
    """Answer the whole history of the bill as a CSV in which no cell is a formula."""
    return streaming.attachment(
        request,
        _page_by_page(_TABLES[table].csv(request.factory)),
        name=f"{request.factory.schema_name}-{table}.csv",
        content_type="text/csv; charset=utf-8",
        n_bytes=None,
    )


def _page_by_page(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give the database connection back between pieces: each may be read in another thread."""
    for piece in pieces:
        if not connection.in_atomic_block:
            connection.close()
        yield piece
