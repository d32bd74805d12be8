from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import selectors
from billing.api.serializers import InvoiceSerializer, UsageSerializer
from billing.models import Invoice
from tenants.context import current_factory

USAGE_EXAMPLE = OpenApiExample(
    "Workshop, 12 machines",
    response_only=True,
    value={
        "plan": "workshop",
        "plan_name": "Workshop",
        "next_plan": None,
        "currency": "EUR",
        "status": "active",
        "period_start": "2026-11-01T00:00:00Z",
        "period_end": "2026-12-01T00:00:00Z",
        "counted_to": "2026-11-17T10:00:00Z",
        "so_far_minor": 34800,
        "forecast_minor": 38925,
        "forecast_low_minor": 38110,
        "forecast_high_minor": 39740,
        "forecast_basis": "The days left are taken to be like the last 47 days ...",
        "meters": [
            {
                "meter": "readings",
                "label": "Readings",
                "used": 231_400_000,
                "included": 240_000_000,
                "price_minor": 25,
                "price_per": "per extra million",
                "so_far_minor": 0,
                "forecast_minor": 4125,
            }
        ],
        "daily": [{"on": "2026-11-01", "total_minor": 34800}],
        "forecast_daily": [
            {
                "on": "2026-11-30",
                "expected_minor": 38925,
                "low_minor": 38110,
                "high_minor": 39740,
            }
        ],
        "previous": [{"on": "2026-10-31", "total_minor": 43800}],
        "previous_total_minor": 43800,
        "machines": [
            {
                "machine_id": "7b0c8a2e-3a55-4d0e-9a0e-5b9d2a1c0f11",
                "name": "Mill 3",
                "n_readings": 19_800_000,
                "cost_minor": 2900,
            }
        ],
        "cap_minor": None,
    },
)
INVOICE_EXAMPLE = OpenApiExample(
    "A month of twelve machines",
    response_only=True,
    value={
        "id": 17,
        "number": "7QK2M1XA-0004",
        "status": "paid",
        "currency": "EUR",
        "total_minor": 38925,
        "due_minor": 38925,
        "paid_minor": 38925,
        "period_start": "2026-10-01T00:00:00Z",
        "period_end": "2026-11-01T00:00:00Z",
        "created_at": "2026-11-01T00:00:00Z",
        "finalized_at": "2026-11-01T01:00:00Z",
        "paid_at": "2026-11-01T01:00:00Z",
        "hosted_url": "https://invoice.stripe.com/i/acct_1/test_1",
        "lines": [
            {
                "description": "12 machine x Workshop: active machines",
                "quantity": 12,
                "amount_minor": 34800,
                "period_start": "2026-10-01T00:00:00Z",
                "period_end": "2026-11-01T00:00:00Z",
            }
        ],
    },
)


class UsageView(APIView):
    """This month's usage, what it costs so far, and what the month is expected to cost."""

    required_permission = "billing.view"
    works_suspended = True

    @extend_schema(
        operation_id="usage_retrieve",
        tags=["billing"],
        summary="Usage and forecast of this month",
        responses=UsageSerializer,
        examples=[USAGE_EXAMPLE],
    )
    def get(self, _request: Request) -> Response:
        summary = selectors.usage_summary(current_factory(), timezone.now())
        return Response(UsageSerializer(summary).data)


@extend_schema_view(
    get=extend_schema(
        tags=["billing"], summary="Invoices, newest first", examples=[INVOICE_EXAMPLE]
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
        return selectors.invoices(current_factory())


@extend_schema_view(
    get=extend_schema(tags=["billing"], summary="One invoice", examples=[INVOICE_EXAMPLE])
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
        return selectors.invoices(current_factory())
