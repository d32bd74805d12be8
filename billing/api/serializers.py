from typing import Any

from rest_framework import serializers

from billing.models import Invoice, InvoiceLine


class MeterUsageSerializer(serializers.Serializer[Any]):
    meter = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field may be called so
    used = serializers.IntegerField()
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
    cost_minor = serializers.IntegerField()


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
    cap_minor = serializers.IntegerField(allow_null=True)


class InvoiceLineSerializer(serializers.ModelSerializer[InvoiceLine]):
    class Meta:
        model = InvoiceLine
        fields = ("description", "quantity", "amount_minor", "period_start", "period_end")


class InvoiceSerializer(serializers.ModelSerializer[Invoice]):
    """An invoice as Stripe has it. Amounts are minor units of `currency`, without tax."""

    lines = InvoiceLineSerializer(many=True)

    class Meta:
        model = Invoice
        fields = (
            "id",
            "number",
            "status",
            "currency",
            "total_minor",
            "due_minor",
            "paid_minor",
            "period_start",
            "period_end",
            "created_at",
            "finalized_at",
            "paid_at",
            "hosted_url",
            "lines",
        )
