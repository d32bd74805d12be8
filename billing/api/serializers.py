from typing import Any

from rest_framework import serializers

from billing.models import CreditNote, Invoice, InvoiceLine, LedgerEntry
from billing.plans import Meter


class MeterUsageSerializer(serializers.Serializer[Any]):
    meter = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field may be called so
    used = serializers.IntegerField()
    held = serializers.IntegerField(help_text="Beyond the owner's cap; not charged")
    included = serializers.IntegerField(allow_null=True, help_text="null: no limit")
    price_minor = serializers.IntegerField()
    price_per = serializers.CharField()
    so_far_minor = serializers.IntegerField()
    forecast_minor = serializers.IntegerField()


class DayTotalSerializer(serializers.Serializer[Any]):
    on = serializers.DateField()
    total_minor = serializers.IntegerField()


class DayRangeSerializer(serializers.Serializer[Any]):
    on = serializers.DateField()
    expected_minor = serializers.IntegerField()
    low_minor = serializers.IntegerField()
    high_minor = serializers.IntegerField()


class MachineCostSerializer(serializers.Serializer[Any]):
    machine_id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField()
    n_readings = serializers.IntegerField()
    n_images = serializers.IntegerField()
    cost_minor = serializers.IntegerField()


class OtherLineSerializer(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]  # a field may be called so
    amount_minor = serializers.IntegerField()


class UsageSerializer(serializers.Serializer[Any]):
    """The month so far. Amounts are minor units of `currency`, without tax; times are UTC."""

    plan = serializers.CharField(source="plan.key")
    plan_name = serializers.CharField(source="plan.name")
    next_plan = serializers.CharField(source="next_plan.key", allow_null=True, default=None)
    currency = serializers.CharField()
    status = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    counted_to = serializers.DateTimeField(allow_null=True)
    so_far_minor = serializers.IntegerField()
    forecast_minor = serializers.IntegerField()
    forecast_low_minor = serializers.IntegerField()
    forecast_high_minor = serializers.IntegerField()
    forecast_basis = serializers.CharField()
    meters = MeterUsageSerializer(many=True)
    daily = DayTotalSerializer(many=True)
    forecast_daily = DayRangeSerializer(many=True)
    previous = DayTotalSerializer(many=True)
    previous_total_minor = serializers.IntegerField(allow_null=True)
    machines = MachineCostSerializer(many=True)
    others = OtherLineSerializer(many=True)
    trial_end = serializers.DateTimeField(allow_null=True)
    after_trial_minor = serializers.IntegerField(
        allow_null=True, help_text="What the month would come to without the trial"
    )
    ends_at = serializers.DateTimeField(allow_null=True)


class InvoiceLineSerializer(serializers.ModelSerializer[InvoiceLine]):
    class Meta:
        model = InvoiceLine
        fields = ("description", "quantity", "amount_minor", "period_start", "period_end")


class CreditNoteSerializer(serializers.ModelSerializer[CreditNote]):
    class Meta:
        model = CreditNote
        fields = ("number", "amount_minor", "refunded_minor", "memo", "status", "created_at")


class InvoiceSerializer(serializers.ModelSerializer[Invoice]):
    """An invoice as Stripe has it. Amounts are minor units of `currency`, the total with tax."""

    lines = InvoiceLineSerializer(many=True)
    credit_notes = CreditNoteSerializer(many=True)
    has_pdf = serializers.SerializerMethodField()
    has_receipt = serializers.BooleanField(read_only=True)

    class Meta:
        model = Invoice
        fields = (
            "id", "number", "status", "currency", "total_minor", "due_minor", "paid_minor",
            "subtotal_minor", "discount_minor", "tax_minor", "period_start", "period_end",
            "created_at", "finalized_at", "paid_at", "has_pdf", "has_receipt", "lines",
            "credit_notes",
        )  # fmt: skip

    def get_has_pdf(self, invoice: Invoice) -> bool:
        return bool(invoice.pdf_url)


class LedgerSerializer(serializers.ModelSerializer[LedgerEntry]):
    """A change of what a meter holds for an hour of measured time."""

    reason = serializers.CharField(help_text="counted, late_data, plan_changed, ...")

    class Meta:
        model = LedgerEntry
        fields = (
            "id", "meter", "hour", "billed_hour", "quantity", "revision", "reason", "written_at",
        )  # fmt: skip


class LedgerQuerySerializer(serializers.Serializer[Any]):
    month = serializers.RegexField(r"^20[0-9]{2}-(0[1-9]|1[0-2])$", required=False)
    meter = serializers.ChoiceField([m.value for m in Meter], required=False)
