"""Usage, invoices and the ledger, to be read."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import exceptions
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import documents, receipts, selectors
from billing.api import examples
from billing.api.serializers import (
    InvoiceSerializer,
    LedgerQuerySerializer,
    LedgerSerializer,
    UsageSerializer,
)
from billing.gateways import StripeAway
from billing.models import Invoice, LedgerEntry
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory


class UsageView(APIView):
    """This month's usage, what it costs so far, and what the month is expected to cost."""

    required_permission = "billing.view"
    works_suspended = True

    @extend_schema(
        operation_id="usage_retrieve",
        tags=["billing"],
        summary="Usage and forecast of this month",
        responses=UsageSerializer,
        examples=[examples.USAGE],
    )
    def get(self, _request: Request) -> Response:
        summary = selectors.usage_summary(current_factory(), timezone.now())
        return Response(UsageSerializer(summary).data)


@extend_schema_view(
    get=extend_schema(
        tags=["billing"], summary="Invoices, newest first", examples=[examples.INVOICE]
    )
)
class InvoiceListView(ListAPIView[Invoice]):
    """The factory's invoices, newest first."""

    required_permission = "billing.view"
    works_suspended = True
    serializer_class = InvoiceSerializer

    def get_queryset(self) -> QuerySet[Invoice]:
        if getattr(self, "swagger_fake_view", False):
            return Invoice.objects.none()
        return selectors.invoices_with_credits(current_factory())


@extend_schema_view(
    get=extend_schema(tags=["billing"], summary="One invoice", examples=[examples.INVOICE])
)
class InvoiceView(RetrieveAPIView[Invoice]):
    """One invoice with its lines."""

    required_permission = "billing.view"
    works_suspended = True
    lookup_url_kwarg = "invoice_id"
    serializer_class = InvoiceSerializer

    def get_queryset(self) -> QuerySet[Invoice]:
        if getattr(self, "swagger_fake_view", False):
            return Invoice.objects.none()
        return selectors.invoices_with_credits(current_factory())


class DocumentAway(exceptions.APIException):
    """The payment provider does not answer."""

    status_code = 503
    default_detail = "The payment provider does not answer. Try again in a minute."
    default_code = "provider_away"


class InvoicePdfView(APIView):
    """An invoice as a file."""

    required_permission = "billing.view"
    works_suspended = True

    @extend_schema(
        operation_id="invoices_pdf",
        tags=["billing"],
        summary="The PDF of an invoice",
        description="409 while the invoice is a draft: its PDF is made when it is final.",
        responses={
            (200, "application/pdf"): OpenApiTypes.BINARY,
            404: OpenApiResponse(ErrorSerializer, "No such invoice"),
            409: OpenApiResponse(ErrorSerializer, "There is no PDF of it yet"),
            503: OpenApiResponse(ErrorSerializer, "The payment provider does not answer"),
        },
    )
    def get(self, _request: Request, invoice_id: int) -> HttpResponse:
        invoice = selectors.invoices(current_factory()).filter(pk=invoice_id).first()
        if invoice is None:
            raise Http404
        try:
            body = documents.pdf(invoice.pdf_url)
        except documents.NoDocument as error:
            raise Conflict("There is no PDF of this invoice yet.") from error
        except StripeAway as error:
            raise DocumentAway from error
        return HttpResponse(body, content_type="application/pdf")


class ReceiptView(APIView):
    """The proof that an invoice was paid, as a file."""

    required_permission = "billing.view"
    works_suspended = True

    @extend_schema(
        operation_id="invoices_receipt",
        tags=["billing"],
        summary="The receipt of a paid invoice",
        description="A PDF: who paid whom, when (in the factory's time zone), how much, with which"
        " card, and what was given back since. 404 where nothing was paid: `has_receipt`.",
        responses={
            (200, "application/pdf"): OpenApiTypes.BINARY,
            404: OpenApiResponse(ErrorSerializer, "No such invoice, or nothing was paid for it"),
            503: OpenApiResponse(ErrorSerializer, "The payment provider does not answer"),
        },
    )
    def get(self, _request: Request, invoice_id: int) -> HttpResponse:
        factory = current_factory()
        invoice = selectors.invoices_with_credits(factory).filter(pk=invoice_id).first()
        if invoice is None:
            raise Http404
        try:
            body = receipts.receipt(invoice, zone=ZoneInfo(factory.time_zone))
        except receipts.NoReceipt as error:
            raise Http404 from error
        except StripeAway as error:
            raise DocumentAway from error
        return HttpResponse(body, content_type="application/pdf")


class LedgerView(ListAPIView[LedgerEntry]):
    """What was counted, row by row: the newest hour first."""

    required_permission = "billing.view"
    works_suspended = True
    serializer_class = LedgerSerializer

    @extend_schema(
        operation_id="ledger_list",
        tags=["billing"],
        summary="Rows of the ledger",
        description="The sum over `quantity` of a meter and month is what the month holds of it."
        " A correction is a row of its own with its reason.",
        parameters=[LedgerQuerySerializer],
        examples=[examples.LEDGER],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[LedgerEntry]:
        if getattr(self, "swagger_fake_view", False):
            return LedgerEntry.objects.none()
        asked = LedgerQuerySerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        month = asked.validated_data.get("month")
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC) if month else None
        return selectors.ledger(
            current_factory(), month=start, meter=asked.validated_data.get("meter", "")
        )
