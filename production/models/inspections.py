"""Inspections: what is looked at, what was found, who judged it, and what became of it."""

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from production.models.maintenance import person
from production.models.plant import Machine, Status
from production.models.products import Lot, OperationRun, Product, ProductionOrder


class DefectType(models.Model):
    """A kind of defect, as the people of the factory call it."""

    class Severity(models.TextChoices):
        MINOR = "minor", "Minor"
        MAJOR = "major", "Major"
        CRITICAL = "critical", "Critical"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.MAJOR)
    # What one costs that leaves the plant; empty: what the plan says.
    escape_cost_minor = models.BigIntegerField(null=True, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(escape_cost_minor=None) | Q(escape_cost_minor__gte=0),
                name="escape_cost_of_a_defect_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class InspectionPlan(models.Model):
    """What is inspected of a product after an operation, how often, and what mistakes cost.

    A plan that has results is not altered: a new version takes its place.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        RELEASED = "released", "Released"
        OBSOLETE = "obsolete", "Obsolete"

    class Sampling(models.TextChoices):
        EVERY_PART = "every_part", "Every part"
        EVERY_NTH = "every_nth", "Every so many parts"
        PER_LOT = "per_lot", "So many parts of a lot"
        EVERY_MINUTES = "every_minutes", "Every so many minutes"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="inspection_plans")
    name = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RELEASED)
    # After which operation ("20 milling"); empty: of the finished lot.
    operation = models.CharField(max_length=60, blank=True)
    instructions = models.TextField(blank=True, max_length=2000)
    sampling = models.CharField(
        max_length=13, choices=Sampling.choices, default=Sampling.EVERY_PART
    )
    # Every n-th part, n parts of a lot, every n minutes.
    sample_n = models.PositiveIntegerField(default=1)
    # A lot is accepted with at most so many defective parts in its sample (single sampling).
    acceptance_number = models.PositiveIntegerField(default=0)
    # In minor units of the factory's currency: a defective part that leaves, a good one refused.
    escape_cost_minor = models.BigIntegerField(null=True, blank=True)
    false_reject_cost_minor = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = person()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["product", "name", "version"], name="inspection_plan_version"
            ),
            models.UniqueConstraint(
                fields=["product", "name"], condition=Q(state="released"),
                name="one_released_version_of_a_plan",
            ),
            models.CheckConstraint(condition=Q(sample_n__gte=1), name="plan_samples_something"),
            models.CheckConstraint(
                condition=(Q(escape_cost_minor=None) | Q(escape_cost_minor__gte=0))
                & (Q(false_reject_cost_minor=None) | Q(false_reject_cost_minor__gte=0)),
                name="costs_of_mistakes_are_not_negative",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name


class Characteristic(models.Model):
    """What of a part is measured or judged, with its limits."""

    class Kind(models.TextChoices):
        VARIABLE = "variable", "Measured"
        ATTRIBUTE = "attribute", "Judged good or not"
        VISUAL = "visual", "Seen in a picture"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    plan = models.ForeignKey(
        InspectionPlan, on_delete=models.CASCADE, related_name="characteristics"
    )
    position = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=9, choices=Kind.choices)
    unit = models.CharField(max_length=20, blank=True)
    nominal = models.FloatField(null=True, blank=True)
    lower_limit = models.FloatField(null=True, blank=True)
    upper_limit = models.FloatField(null=True, blank=True)
    gauge = models.CharField(max_length=80, blank=True)
    # What is noted when a part is out of it.
    defect_type = models.ForeignKey(
        DefectType, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "name"], name="characteristic_in_plan"),
            models.CheckConstraint(
                condition=~Q(kind="variable")
                | Q(lower_limit__isnull=False)
                | Q(upper_limit__isnull=False),
                name="measured_characteristic_has_a_limit",
            ),
            models.CheckConstraint(
                condition=Q(lower_limit=None)
                | Q(upper_limit=None)
                | Q(lower_limit__lt=F("upper_limit")),
                name="characteristic_limits_are_in_order",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Verdict(models.TextChoices):
    PASS = "pass", "Pass"
    FAIL = "fail", "Fail"
    UNCLEAR = "unclear", "Not clear"


class Inspection(models.Model):
    """One look at a part, a lot or an order. Its verdict is that of its newest verdict row."""

    class State(models.TextChoices):
        DUE = "due", "Due"
        DONE = "done", "Done"
        MISSED = "missed", "Missed"

    class Source(models.TextChoices):
        PERSON = "person", "A person"
        GAUGE = "gauge", "A gauge"
        MACHINE = "machine", "A machine"
        VISION = "vision", "A picture"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True)
    plan = models.ForeignKey(InspectionPlan, on_delete=models.PROTECT, related_name="inspections")
    lot = models.ForeignKey(
        Lot, null=True, blank=True, on_delete=models.PROTECT, related_name="inspections"
    )
    order = models.ForeignKey(
        ProductionOrder, null=True, blank=True, on_delete=models.PROTECT,
        related_name="inspections",
    )  # fmt: skip
    # The piece within the lot, as it is marked or counted; empty: the lot as a whole.
    piece = models.CharField(max_length=60, blank=True)
    # What made it, as far as known.
    machine = models.ForeignKey(
        Machine, null=True, blank=True, on_delete=models.PROTECT, related_name="inspections"
    )
    run = models.ForeignKey(
        OperationRun, null=True, blank=True, on_delete=models.PROTECT, related_name="inspections"
    )
    state = models.CharField(max_length=6, choices=State.choices, default=State.DONE)
    source = models.CharField(max_length=7, choices=Source.choices)
    due_at = models.DateTimeField(null=True, blank=True)
    # When the part was looked at, and when it was made.
    inspected_at = models.DateTimeField(null=True, blank=True)
    made_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=7, choices=Verdict.choices, blank=True)
    # The first verdict is what first-pass yield counts.
    first_verdict = models.CharField(max_length=7, choices=Verdict.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = person()
    request_id = models.UUIDField(null=True, blank=True, unique=True)

    class Meta:
        indexes = [
            models.Index(fields=["plan", "-inspected_at", "-number"], name="newest_of_plan"),
            models.Index(fields=["lot", "piece"], name="inspections_of_lot"),
            models.Index(fields=["machine", "inspected_at"], name="inspections_of_machine"),
            models.Index(fields=["state", "due_at"], name="inspections_due"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="done", inspected_at__isnull=False)
                | (Q(state__in=("due", "missed")) & Q(verdict="")),
                name="inspection_that_is_done_says_when",
            ),
        ]

    def __str__(self) -> str:
        return f"Inspection {self.number}"


class InspectionVerdict(models.Model):
    """What somebody, or something, judged an inspection to be. Append-only."""

    id = models.BigAutoField(primary_key=True)
    inspection = models.ForeignKey(Inspection, on_delete=models.CASCADE, related_name="verdicts")
    verdict = models.CharField(max_length=7, choices=Verdict.choices)
    source = models.CharField(max_length=7, choices=Inspection.Source.choices)
    by = person()
    at = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    request_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["inspection", "-at", "-id"], name="newest_verdicts")]
        constraints = [
            models.UniqueConstraint(
                fields=["inspection", "request_id"], name="a_request_judges_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id}: {self.verdict}"


class FoundDefect(models.Model):
    """A defect that a verdict names."""

    id = models.BigAutoField(primary_key=True)
    verdict = models.ForeignKey(InspectionVerdict, on_delete=models.CASCADE, related_name="defects")
    defect_type = models.ForeignKey(DefectType, on_delete=models.PROTECT, related_name="found")
    count = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["verdict", "defect_type"], name="a_defect_once_in_a_verdict"
            ),
            models.CheckConstraint(condition=Q(count__gte=1), name="found_defect_counts"),
        ]

    def __str__(self) -> str:
        return f"{self.count} of {self.defect_type_id}"


class Measurement(models.Model):
    """A value of a characteristic of one piece. A wrong one is voided, with its cause."""

    id = models.BigAutoField(primary_key=True)
    inspection = models.ForeignKey(
        Inspection, on_delete=models.CASCADE, related_name="measurements"
    )
    characteristic = models.ForeignKey(
        Characteristic, on_delete=models.PROTECT, related_name="measurements"
    )
    piece_no = models.PositiveIntegerField(default=1)
    # Empty for what is judged good or not.
    value = models.FloatField(null=True, blank=True)
    is_within = models.BooleanField()
    gauge = models.CharField(max_length=80, blank=True)
    uncertainty = models.FloatField(null=True, blank=True)
    measured_at = models.DateTimeField()
    void_cause = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["characteristic", "measured_at"], name="values_in_time"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["inspection", "characteristic", "piece_no"], condition=Q(void_cause=""),
                name="one_valid_value_a_piece",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.characteristic_id}: {self.value}"


class Nonconformance(models.Model):
    """Material that is not as it should be, until it is decided what becomes of it.

    Its state is that of its newest event.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CONTAINED = "contained", "Contained"
        DISPOSITIONED = "dispositioned", "Decided"
        CLOSED = "closed", "Closed"

    class Source(models.TextChoices):
        INSPECTION = "inspection", "An inspection"
        RUN = "run", "Production"
        RECEIPT = "receipt", "A receipt"
        COMPLAINT = "complaint", "A complaint"

    class Disposition(models.TextChoices):
        USE = "use", "Use as it is"
        REWORK = "rework", "Rework"
        SCRAP = "scrap", "Scrap"
        RETURN = "return", "Return to the supplier"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="nonconformances")
    lot = models.ForeignKey(
        Lot, null=True, blank=True, on_delete=models.PROTECT, related_name="nonconformances"
    )
    inspection = models.OneToOneField(
        Inspection, null=True, blank=True, on_delete=models.PROTECT, related_name="nonconformance"
    )
    machine = models.ForeignKey(
        Machine, null=True, blank=True, on_delete=models.PROTECT, related_name="nonconformances"
    )
    defect_type = models.ForeignKey(
        DefectType, null=True, blank=True, on_delete=models.PROTECT, related_name="nonconformances"
    )
    source = models.CharField(max_length=10, choices=Source.choices)
    quantity = models.DecimalField(max_digits=14, decimal_places=3, default=Decimal(1))
    text = models.CharField(max_length=2000, blank=True)
    state = models.CharField(max_length=13, choices=State.choices, default=State.OPEN)
    disposition = models.CharField(max_length=7, choices=Disposition.choices, blank=True)
    currency = models.CharField(max_length=3)
    cost_minor = models.BigIntegerField(null=True, blank=True)
    found_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    created_by = person()
    request_id = models.UUIDField(null=True, blank=True, unique=True)

    class Meta:
        indexes = [
            models.Index(fields=["state", "-found_at"], name="open_nonconformances"),
            models.Index(fields=["lot", "found_at"], name="nonconformances_of_lot"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="nonconformance_is_of_some"),
            models.CheckConstraint(
                condition=Q(cost_minor=None) | Q(cost_minor__gte=0),
                name="nonconformance_cost_is_not_negative",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("dispositioned", "closed")) | ~Q(disposition=""),
                name="nonconformance_is_closed_with_a_decision",
            ),
        ]

    def __str__(self) -> str:
        return f"Nonconformance {self.number}"


class NonconformanceEvent(models.Model):
    """A step in the life of a nonconformance. Append-only."""

    id = models.BigAutoField(primary_key=True)
    nonconformance = models.ForeignKey(
        Nonconformance, on_delete=models.CASCADE, related_name="events"
    )
    state = models.CharField(max_length=13, choices=Nonconformance.State.choices)
    disposition = models.CharField(
        max_length=7, choices=Nonconformance.Disposition.choices, blank=True
    )
    at = models.DateTimeField()
    by = person()
    text = models.CharField(max_length=2000, blank=True)
    request_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["nonconformance", "at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["nonconformance", "request_id"], name="a_request_steps_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.nonconformance_id}: {self.state}"
