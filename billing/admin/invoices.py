"""Invoices and credit notes, as Stripe last told us."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from billing.admin import credit_page
from billing.models import CreditNote, Invoice, InvoiceLine
from billing.money import money
from billing.services.credits import left_to_credit
from tenants.admin.records import Records, Rows

_ACCOUNT = ("account__name", "account__factory__schema_name")


class LinesOfInvoice(Rows):
    model = InvoiceLine
    fields = readonly_fields = ("description", "quantity", "amount", "period_start", "period_end")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[InvoiceLine]":
        return InvoiceLine.objects.select_related("invoice").order_by("position")

    @admin.display()
    def amount(self, line: InvoiceLine) -> str:
        return money(line.amount_minor, line.invoice.currency)


class CreditNotesOfInvoice(Rows):
    model = CreditNote
    fields = readonly_fields = ("number", "amount", "reason", "memo", "by", "status", "created_at")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[CreditNote]":
        return CreditNote.objects.select_related("invoice", "by").order_by("created_at", "pk")

    @admin.display()
    def amount(self, note: CreditNote) -> str:
        return money(note.amount_minor, note.invoice.currency)


@admin.register(Invoice)
class InvoiceRecords(Records):
    list_display = ("name", "account", "status", "total", "due", "period_end", "paid_at")
    list_filter = ("status", "currency")
    list_select_related = ("account",)
    search_fields = ("number", "stripe_id", *_ACCOUNT)
    ordering = ("-created_at", "pk")
    inlines: ClassVar = [LinesOfInvoice, CreditNotesOfInvoice]
    fields = (
        "name", "account", "status", "total", "due", "paid", "period_start", "period_end",
        "billing_reason", "created_at", "finalized_at", "paid_at", "n_attempts",
        "next_attempt_at", "stripe_id", "hosted_url", "pdf_url", "synced_at",
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.credit)
        return [path("<int:invoice_id>/credit/", view, name="credit"), *super().get_urls()]

    def links(self, record: Invoice) -> list[tuple[str, str]]:
        if not left_to_credit(record):
            return []
        return [(reverse("admin:credit", args=[record.pk]), "Credit…")]

    def credit(self, request: HttpRequest, invoice_id: int) -> HttpResponse:
        """Give back a part or all of an invoice."""
        rows = Invoice.objects.select_related("account__factory")
        invoice = get_object_or_404(rows, pk=invoice_id)
        return credit_page.answer(request, invoice, self.admin_site.each_context(request))

    @admin.display(description="number", ordering="number")
    def name(self, invoice: Invoice) -> str:
        return str(invoice)

    @admin.display(ordering="total_minor")
    def total(self, invoice: Invoice) -> str:
        return money(invoice.total_minor, invoice.currency)

    @admin.display(ordering="due_minor")
    def due(self, invoice: Invoice) -> str:
        return money(invoice.due_minor, invoice.currency)

    @admin.display()
    def paid(self, invoice: Invoice) -> str:
        return money(invoice.paid_minor, invoice.currency)


@admin.register(CreditNote)
class CreditNoteRecords(Records):
    list_display = ("name", "account", "invoice", "amount", "reason", "by", "created_at")
    list_filter = ("reason", "status")
    list_select_related = ("account", "invoice", "by")
    search_fields = ("number", "stripe_id", "memo", *_ACCOUNT)
    ordering = ("-created_at", "pk")
    fields = (
        "name", "account", "invoice", "amount", "refunded", "reason", "memo", "by", "status",
        "created_at", "stripe_id", "pdf_url",
    )  # fmt: skip

    @admin.display(description="number", ordering="number")
    def name(self, note: CreditNote) -> str:
        return str(note)

    @admin.display(ordering="amount_minor")
    def amount(self, note: CreditNote) -> str:
        return money(note.amount_minor, note.invoice.currency)

    @admin.display()
    def refunded(self, note: CreditNote) -> str:
        return money(note.refunded_minor, note.invoice.currency)
