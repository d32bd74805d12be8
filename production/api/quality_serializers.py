"""Products, lots and inspections as the API shows and takes them.

Money is in minor units of the factory's currency.
"""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from production.models import (
    Characteristic,
    DefectType,
    FoundDefect,
    Inspection,
    InspectionPlan,
    InspectionVerdict,
    Lot,
    LotEvent,
    Measurement,
    Nonconformance,
    NonconformanceEvent,
    OperationRun,
    Product,
    ProductionOrder,
    Verdict,
)
from production.services import (
    MAX_BULK,
    CharacteristicFields,
    InspectionPlanFields,
    LotFields,
    Measured,
    RunFields,
)

ID = "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11"
REQUEST = "0b8f1d3e-7f5d-4a60-9a52-1f1d6f7f0c77"
MADE = "2026-11-17T10:28:00Z"
MAX_MINOR = 10**12
MAX_VALUE = 1e12
MAX_INT = 2**31 - 1


def _example(name: str, value: dict[str, Any]) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample(name, value, request_only=True)])


@extend_schema_field({"type": "string", "format": "decimal", "pattern": r"^\d{1,11}(\.\d{1,3})?$"})
class QuantityField(serializers.DecimalField):
    """A quantity with up to three digits after the point; the service wants more than nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=14, decimal_places=3, **options)


def _cost(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=0, max_value=MAX_MINOR, required=False, allow_null=True, default=None, **options
    )


def _value(**options: Any) -> serializers.FloatField:
    return serializers.FloatField(
        min_value=-MAX_VALUE, max_value=MAX_VALUE, required=False, allow_null=True, default=None,
        **options,
    )  # fmt: skip


def _words(max_length: int, **options: Any) -> serializers.CharField:
    return serializers.CharField(
        max_length=max_length, required=False, default="", allow_blank=True, **options
    )


class OnceSerializer(serializers.Serializer[Any]):
    """Something that counts once, however often it is sent."""

    request_id = serializers.UUIDField(
        required=False, help_text="Made by the client; the same id counts once."
    )


# -- products, orders, lots


@_example(
    "A part that is tracked by lot",
    {"item_no": "B-100", "name": "Bracket", "unit": "pcs", "tracking": "lot",
     "unit_cost_minor": 1250},
)  # fmt: skip
class ProductSerializer(serializers.ModelSerializer[Product]):
    """An item that is made."""

    # Without a check of its own that the number is free: the service says it in its words.
    item_no = serializers.CharField(max_length=40)
    unit_cost_minor = _cost(help_text="What a finished unit has cost.")

    class Meta:
        model = Product
        fields = ("id", "item_no", "name", "unit", "tracking", "state", "unit_cost_minor")
        read_only_fields = ("id", "state")


@_example("Five hundred brackets", {"number": "P-2041", "product": "B-100", "quantity": "500"})
class ProductionOrderSerializer(serializers.ModelSerializer[ProductionOrder]):
    """So much of a product; `product` is an item number."""

    number = serializers.CharField(max_length=40)
    product = serializers.CharField(source="product.item_no", max_length=40)
    quantity = QuantityField()

    class Meta:
        model = ProductionOrder
        fields = ("id", "number", "product", "quantity", "due_at", "state")
        read_only_fields = ("id", "state")


class LotSerializer(serializers.ModelSerializer[Lot]):
    """A lot or a serial, as lists show it; `product` is an item number, the others codes."""

    product = serializers.CharField(source="product.item_no")
    order = serializers.CharField(source="order.number", default=None, allow_null=True)
    parent = serializers.CharField(  # type: ignore[assignment]  # a field, not the owner
        source="parent.code", default=None, allow_null=True
    )

    class Meta:
        model = Lot
        fields = (
            "id", "product", "code", "is_serial", "quantity", "state", "order", "parent",
            "made_at", "expires_on",
        )  # fmt: skip
        read_only_fields = fields


class LotEventSerializer(serializers.ModelSerializer[LotEvent]):
    """From when on a lot is in which state, and why."""

    by = serializers.StringRelatedField[Any]()

    class Meta:
        model = LotEvent
        fields = ("state", "at", "by", "text")


class RunSerializer(serializers.ModelSerializer[OperationRun]):
    """An operation on a lot: machine, time and parameters."""

    product = serializers.CharField(source="lot.product.item_no")
    lot = serializers.CharField(source="lot.code")
    machine_name = serializers.CharField(source="machine.name")
    parameters = serializers.DictField()

    class Meta:
        model = OperationRun
        fields = (
            "id", "product", "lot", "operation", "sequence", "run_no", "machine", "machine_name",
            "state", "started_at", "ended_at", "parameters",
        )  # fmt: skip
        read_only_fields = fields


class LotDetailSerializer(LotSerializer):
    """A lot with its life and the runs that made it."""

    events = LotEventSerializer(many=True)
    runs = RunSerializer(many=True)

    class Meta(LotSerializer.Meta):
        fields = (*LotSerializer.Meta.fields, "events", "runs")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]


@_example(
    "A lot of two hundred",
    {"product": "B-100", "code": "L-1042", "quantity": "200", "order": "P-2041", "made_at": MADE},
)
class NewLotSerializer(serializers.Serializer[Any]):
    """A lot or serial. `product` is an item number; the same lot may be sent again."""

    product = serializers.CharField(max_length=40)
    code = serializers.CharField(max_length=60)
    made_at = serializers.DateTimeField()
    quantity = QuantityField(default=1)
    is_serial = serializers.BooleanField(default=False)
    order = _words(40, help_text="The number of its order.")
    parent = _words(  # type: ignore[assignment]  # a field, not the owner
        60, help_text="The code of the lot that it is a part of."
    )
    expires_on = serializers.DateField(required=False, allow_null=True, default=None)

    def lot_fields(self) -> LotFields:
        return LotFields(**self.validated_data)


@_example("Set it apart", {"state": "held", "text": "Looks wrong"})
class LotStateSerializer(serializers.Serializer[Any]):
    """The state that a lot comes into; one that it is in already changes nothing."""

    state = serializers.ChoiceField(
        [choice for choice in Lot.State.choices if choice[0] != Lot.State.CREATED]
    )
    text = _words(500)


@_example(
    "A run that has ended",
    {"product": "B-100", "lot": "L-1042", "operation": "20 milling", "machine": ID,
     "started_at": "2026-11-17T09:40:00Z", "ended_at": MADE,
     "parameters": {"feed_mm_min": 800, "tool": "T12"}},
)  # fmt: skip
class NewRunSerializer(serializers.Serializer[Any]):
    """A run; without `ended_at` it is running. The same one may be sent again."""

    product = serializers.CharField(max_length=40)
    lot = serializers.CharField(max_length=60, help_text="The code of the lot.")
    operation = serializers.CharField(max_length=60)
    machine = serializers.UUIDField(required=False, allow_null=True, default=None)
    started_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    ended_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    is_aborted = serializers.BooleanField(default=False)
    sequence = serializers.IntegerField(min_value=0, max_value=MAX_INT, default=10)
    run_no = serializers.IntegerField(min_value=1, max_value=MAX_INT, default=1)
    parameters = serializers.DictField(required=False, default=dict)

    def run_fields(self) -> RunFields:
        said = dict(self.validated_data)
        return RunFields(machine_id=said.pop("machine"), **said)


class _ListSerializer(serializers.Serializer[Any]):
    """Up to 500 items. Each is checked by itself: a bad one sinks no other."""

    items = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=MAX_BULK)


@_example(
    "A lot and one of its serials",
    {"items": [
        {"product": "B-100", "code": "L-1042", "quantity": "200", "made_at": MADE},
        {"product": "B-100", "code": "S-1", "is_serial": True, "parent": "L-1042",
         "made_at": MADE},
    ]},
)  # fmt: skip
class LotListSerializer(_ListSerializer):
    """Up to 500 lots, each as a single one is sent. A bad one sinks no other."""


@_example(
    "Two runs",
    {"items": [
        {"product": "B-100", "lot": "L-1042", "operation": "20 milling", "machine": ID,
         "started_at": "2026-11-17T09:40:00Z", "ended_at": MADE},
        {"product": "B-100", "lot": "L-1042", "operation": "30 deburring", "machine": ID,
         "started_at": MADE},
    ]},
)  # fmt: skip
class RunListSerializer(_ListSerializer):
    """Up to 500 runs: product, lot, operation, run_no, machine, times, parameters."""


class ListRejectionSerializer(serializers.Serializer[Any]):
    """An item of a list that was not taken: its place, counted from 0, and why."""

    index = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class ListReceiptSerializer(serializers.Serializer[Any]):
    """What became of a list."""

    n_stored = serializers.IntegerField(help_text="New.")
    n_changed = serializers.IntegerField(help_text="Known, and said something new.")
    n_known = serializers.IntegerField(help_text="Repeats.")
    rejected = ListRejectionSerializer(many=True)


# -- plans


@_example(
    "A scratch", {"code": "scratch", "name": "Scratch", "severity": "minor",
                  "escape_cost_minor": 4000}
)  # fmt: skip
class DefectTypeSerializer(serializers.ModelSerializer[DefectType]):
    """A kind of defect. Sent again with the same code, it gets the new words."""

    code = serializers.SlugField(max_length=40)
    escape_cost_minor = _cost(help_text="What one costs that leaves the plant.")

    class Meta:
        model = DefectType
        fields = ("id", "code", "name", "severity", "escape_cost_minor", "status")
        read_only_fields = ("id", "status")


class CharacteristicSerializer(serializers.ModelSerializer[Characteristic]):
    """What of a part is measured or judged; limits are good themselves."""

    defect = serializers.CharField(source="defect_type.code", default=None, allow_null=True)

    class Meta:
        model = Characteristic
        fields = (
            "id", "position", "name", "kind", "unit", "nominal", "lower_limit", "upper_limit",
            "gauge", "defect",
        )  # fmt: skip
        read_only_fields = fields


class InspectionPlanSerializer(serializers.ModelSerializer[InspectionPlan]):
    """A version of a plan; `product` is an item number."""

    product = serializers.CharField(source="product.item_no")
    characteristics = CharacteristicSerializer(many=True)

    class Meta:
        model = InspectionPlan
        fields = (
            "id", "product", "name", "version", "state", "operation", "instructions", "sampling",
            "sample_n", "acceptance_number", "escape_cost_minor", "false_reject_cost_minor",
            "created_at", "characteristics",
        )  # fmt: skip
        read_only_fields = fields


class NewCharacteristicSerializer(serializers.Serializer[Any]):
    """A characteristic; `defect` is the code of what is noted when a part is out of it."""

    name = serializers.CharField(max_length=80, trim_whitespace=False)
    kind = serializers.ChoiceField(Characteristic.Kind.choices, default="variable")
    unit = _words(20)
    nominal = _value()
    lower_limit = _value()
    upper_limit = _value()
    gauge = _words(80)
    defect = _words(40)


PLAN_EXAMPLE = {
    "name": "After milling", "operation": "20 milling", "sampling": "every_nth", "sample_n": 10,
    "acceptance_number": 0, "escape_cost_minor": 9000, "false_reject_cost_minor": 1250,
    "characteristics": [
        {"name": "Bore", "kind": "variable", "unit": "mm", "nominal": 12.0, "lower_limit": 11.98,
         "upper_limit": 12.02, "gauge": "Bore gauge 3"},
        {"name": "Surface", "kind": "attribute"},
    ],
}  # fmt: skip


@_example("A bore and a surface, other limits", PLAN_EXAMPLE)
class RevisedPlanSerializer(serializers.Serializer[Any]):
    """What a plan says from now on."""

    name = serializers.CharField(max_length=80, trim_whitespace=False)
    operation = _words(60, help_text="After which operation; empty: of the finished lot.")
    instructions = _words(2000)
    sampling = serializers.ChoiceField(InspectionPlan.Sampling.choices, default="every_part")
    sample_n = serializers.IntegerField(min_value=1, max_value=10**6, default=1)
    acceptance_number = serializers.IntegerField(min_value=0, max_value=10**6, default=0)
    escape_cost_minor = _cost()
    false_reject_cost_minor = _cost()
    characteristics = serializers.ListField(
        child=NewCharacteristicSerializer(), min_length=1, max_length=100
    )

    def plan_fields(self) -> InspectionPlanFields:
        said = {k: v for k, v in self.validated_data.items() if k != "product"}
        rows = said.pop("characteristics")
        return InspectionPlanFields(
            **said, characteristics=tuple(CharacteristicFields(**row) for row in rows)
        )


@_example("A bore and a surface", {"product": "B-100", **PLAN_EXAMPLE})
class NewInspectionPlanSerializer(RevisedPlanSerializer):
    """A plan for a product, by its item number."""

    product = serializers.CharField(max_length=40, trim_whitespace=False)


# -- inspections


class MeasurementSerializer(serializers.ModelSerializer[Measurement]):
    """A value of a characteristic, or whether it is good."""

    characteristic = serializers.CharField(source="characteristic.name")
    unit = serializers.CharField(source="characteristic.unit")

    class Meta:
        model = Measurement
        fields = (
            "characteristic", "unit", "piece_no", "value", "is_within", "gauge", "uncertainty",
            "measured_at", "void_cause",
        )  # fmt: skip


class FoundDefectSerializer(serializers.ModelSerializer[FoundDefect]):
    """A defect that a verdict names."""

    code = serializers.CharField(source="defect_type.code")
    name = serializers.CharField(source="defect_type.name")

    class Meta:
        model = FoundDefect
        fields = ("code", "name", "count")


class InspectionVerdictSerializer(serializers.ModelSerializer[InspectionVerdict]):
    """What somebody, or something, judged."""

    by = serializers.StringRelatedField[Any]()
    defects = FoundDefectSerializer(many=True)

    class Meta:
        model = InspectionVerdict
        fields = ("verdict", "source", "by", "at", "note", "defects")


class InspectionSerializer(serializers.ModelSerializer[Inspection]):
    """An inspection, as lists show it; its verdict is the newest one."""

    product = serializers.CharField(source="plan.product.item_no")
    plan_name = serializers.CharField(source="plan.name")
    lot_code = serializers.CharField(source="lot.code", default=None, allow_null=True)

    class Meta:
        model = Inspection
        fields = (
            "id", "number", "product", "plan", "plan_name", "lot", "lot_code", "order", "piece",
            "machine", "run", "state", "source", "due_at", "made_at", "inspected_at", "verdict",
            "first_verdict",
        )  # fmt: skip
        read_only_fields = fields


class InspectionDetailSerializer(InspectionSerializer):
    """An inspection with what was measured and what everybody judged."""

    measurements = MeasurementSerializer(many=True)
    verdicts = InspectionVerdictSerializer(many=True)
    nonconformance = serializers.SerializerMethodField()

    class Meta(InspectionSerializer.Meta):
        fields = (  # type: ignore[assignment]
            *InspectionSerializer.Meta.fields, "measurements", "verdicts", "nonconformance",
        )  # fmt: skip
        read_only_fields = fields  # type: ignore[assignment]

    def get_nonconformance(self, row: Inspection) -> str | None:
        found = getattr(row, "nonconformance", None)
        return str(found.pk) if found else None


class MeasuredSerializer(serializers.Serializer[Any]):
    """A value, or whether it is good, of a characteristic by its name."""

    characteristic = serializers.CharField(max_length=80)
    value = _value()
    is_good = serializers.BooleanField(required=False, allow_null=True, default=None)
    piece_no = serializers.IntegerField(min_value=1, max_value=MAX_INT, default=1)
    gauge = _words(80)
    uncertainty = _value()


class _DefectsField(serializers.DictField):
    child = serializers.IntegerField(min_value=1, max_value=1_000_000)


@_example(
    "A gauge measured a bore",
    {"plan": ID, "lot_code": "L-1042", "piece": "17", "source": "gauge",
     "measurements": [{"characteristic": "Bore", "value": 12.004},
                      {"characteristic": "Surface", "is_good": True}],
     "inspected_at": MADE, "request_id": REQUEST},
)  # fmt: skip
class NewInspectionSerializer(OnceSerializer):
    """An inspection of a lot, by its id or its code, or of an order.

    Without a verdict it follows from the values.
    """

    plan = serializers.UUIDField()
    lot = serializers.UUIDField(required=False, allow_null=True, default=None)
    lot_code = _words(60, help_text="Instead of `lot`: the code of a lot of the plan's product.")
    order = serializers.UUIDField(required=False, allow_null=True, default=None)
    piece = _words(60)
    machine = serializers.UUIDField(required=False, allow_null=True, default=None)
    run = serializers.UUIDField(required=False, allow_null=True, default=None)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field
        Inspection.Source.choices, default="person"
    )
    measurements = MeasuredSerializer(many=True, required=False, default=list)
    verdict = serializers.ChoiceField(Verdict.choices, required=False, default="")
    defects = _DefectsField(required=False, default=dict, help_text="Code of a defect: how often.")
    note = _words(500)
    inspected_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    made_at = serializers.DateTimeField(required=False, allow_null=True, default=None)

    def measured(self) -> list[Measured]:
        return [Measured(**row) for row in self.validated_data["measurements"]]


@_example(
    "Not a scratch, only dust", {"verdict": "pass", "note": "Only dust", "request_id": REQUEST}
)
class JudgeSerializer(OnceSerializer):
    """A later verdict; the newest counts, the first one stays for first-pass yield."""

    verdict = serializers.ChoiceField(Verdict.choices)
    note = _words(500)
    defects = _DefectsField(required=False, default=dict, help_text="Code of a defect: how often.")


# -- nonconformances


class NonconformanceSerializer(serializers.ModelSerializer[Nonconformance]):
    """A nonconformance, as lists show it; `cost_minor` is in minor units of `currency`."""

    product = serializers.CharField(source="product.item_no")
    lot_code = serializers.CharField(source="lot.code", default=None, allow_null=True)
    defect = serializers.CharField(source="defect_type.code", default=None, allow_null=True)

    class Meta:
        model = Nonconformance
        fields = (
            "id", "number", "product", "lot", "lot_code", "inspection", "machine", "defect",
            "source", "quantity", "text", "state", "disposition", "currency", "cost_minor",
            "found_at", "closed_at",
        )  # fmt: skip
        read_only_fields = fields


class NonconformanceEventSerializer(serializers.ModelSerializer[NonconformanceEvent]):
    """A step, and the state from then on."""

    by = serializers.StringRelatedField[Any]()

    class Meta:
        model = NonconformanceEvent
        fields = ("state", "disposition", "at", "by", "text")


class NonconformanceDetailSerializer(NonconformanceSerializer):
    """A nonconformance with its life."""

    events = NonconformanceEventSerializer(many=True)

    class Meta(NonconformanceSerializer.Meta):
        fields = (*NonconformanceSerializer.Meta.fields, "events")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]


@_example(
    "A customer sent one back",
    {"product": "B-100", "lot_code": "L-1042", "source": "complaint", "quantity": "1",
     "text": "Thread is missing", "request_id": REQUEST},
)  # fmt: skip
class NewNonconformanceSerializer(OnceSerializer):
    """What no inspection found: in production, at receipt, or a complaint."""

    product = serializers.CharField(max_length=40)
    lot_code = _words(60)
    machine = serializers.UUIDField(required=False, allow_null=True, default=None)
    defect = _words(40)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field
        [choice for choice in Nonconformance.Source.choices if choice[0] != "inspection"],
        default="run",
    )
    quantity = QuantityField(default=1)
    text = serializers.CharField(max_length=2000)


@_example("Set apart", {"text": "In the red box", "request_id": REQUEST})
class StepSerializer(OnceSerializer):
    """A step with a few words."""

    text = _words(2000)


@_example("Scrap it", {"disposition": "scrap", "text": "Cannot be saved", "request_id": REQUEST})
class DecideSerializer(StepSerializer):
    """What becomes of the material; without a cost it is that of its units."""

    disposition = serializers.ChoiceField(Nonconformance.Disposition.choices)
    cost_minor = _cost()
