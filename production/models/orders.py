"""Work orders: what is to be done, who found it, how far it is and what came of it."""

import uuid

from django.db import models
from django.db.models import F, Q

from production.models.maintenance import MaintenancePlan, person
from production.models.plant import Failure, Machine


class Counter(models.Model):
    """The last number given out in a series; its row is locked until the commit, so no gaps."""

    name = models.CharField(max_length=20, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.last}"


class WorkOrder(models.Model):
    """One piece of maintenance work on a machine. Its state is that of its newest event."""

    class Kind(models.TextChoices):
        CORRECTIVE = "corrective", "Repair"
        PREVENTIVE = "preventive", "Preventive"
        PREDICTIVE = "predictive", "Predicted"
        INSPECTION = "inspection", "Inspection"

    class State(models.TextChoices):
        PROPOSED = "proposed", "Proposed"
        APPROVED = "approved", "Approved"
        SCHEDULED = "scheduled", "Scheduled"
        IN_WORK = "in_work", "In work"
        DONE = "done", "Done"
        VERIFIED = "verified", "Verified"
        REJECTED = "rejected", "Rejected"

    class Source(models.TextChoices):
        PERSON = "person", "A person"
        PLAN = "plan", "A plan"
        PREDICTION = "prediction", "A prediction"
        ALARM = "alarm", "An alarm"

    class Verdict(models.TextChoices):
        REAL = "real", "Real"
        FALSE_ALARM = "false_alarm", "False alarm"
        CAUSE_FOUND_OTHER = "cause_found_other", "Other cause found"
        NOT_FOUND = "not_found", "Nothing found"
        PREVENTED = "prevented", "Failure prevented"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=9, choices=State.choices)
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="work_orders")
    component = models.CharField(max_length=80, blank=True)
    title = models.CharField(max_length=120)
    reason = models.TextField(blank=True, max_length=2000)
    first_checks = models.JSONField(default=list, blank=True)  # texts: what to look at first
    priority = models.PositiveSmallIntegerField(default=3)
    due_from = models.DateTimeField(null=True, blank=True)
    due_by = models.DateTimeField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    waiting_cost_minor_per_day = models.BigIntegerField(null=True, blank=True)
    waiting_cost = models.CharField(max_length=200, blank=True)

    source = models.CharField(max_length=10, choices=Source.choices)
    source_ref = models.CharField(max_length=120, blank=True)
    # The finding that this order answers: while one is open, no second order is made for it.
    dedup_key = models.CharField(max_length=160, blank=True)
    n_findings = models.PositiveIntegerField(default=1)
    plan = models.ForeignKey(
        MaintenancePlan, null=True, blank=True, on_delete=models.PROTECT, related_name="orders"
    )
    # The day, in the time of the site, for which a plan made it.
    planned_on = models.DateField(null=True, blank=True)

    mode = models.CharField(max_length=16, choices=Failure.Mode.choices, blank=True)
    mechanism = models.CharField(max_length=12, choices=Failure.Mechanism.choices, blank=True)
    cause = models.CharField(max_length=12, choices=Failure.Cause.choices, blank=True)
    detection = models.CharField(max_length=20, choices=Failure.Detection.choices, blank=True)
    failure = models.OneToOneField(
        Failure, null=True, blank=True, on_delete=models.PROTECT, related_name="work_order"
    )
    verdict = models.CharField(max_length=17, choices=Verdict.choices, blank=True)
    verdict_note = models.CharField(max_length=500, blank=True)
    verdict_at = models.DateTimeField(null=True, blank=True)
    verdict_by = person()
    downtime_minutes = models.PositiveIntegerField(null=True, blank=True)

    created_at = models.DateTimeField()
    created_by = person()
    assigned_to = person()
    scheduled_for = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)  # verified or rejected
    changed_at = models.DateTimeField()
    request_id = models.UUIDField(null=True, blank=True, unique=True)

    OPEN = (State.PROPOSED, State.APPROVED, State.SCHEDULED, State.IN_WORK)

    class Meta:
        indexes = [
            models.Index(fields=["machine", "created_at"]),
            models.Index(fields=["verdict_at"]),
            models.Index(fields=["state", "due_by"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["dedup_key"],
                condition=Q(state__in=("proposed", "approved", "scheduled", "in_work"))
                & ~Q(dedup_key=""),
                name="one_open_order_a_finding",
            ),
            models.CheckConstraint(
                condition=Q(due_from=None) | Q(due_by=None) | Q(due_by__gt=F("due_from")),
                name="order_is_due_after_it_may_begin",
            ),
            models.CheckConstraint(
                condition=Q(priority__range=(1, 4)), name="order_priority_is_1_to_4"
            ),
            models.CheckConstraint(
                condition=Q(waiting_cost_minor_per_day=None) | Q(waiting_cost_minor_per_day__gte=0),
                name="waiting_cost_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(verdict="", verdict_at=None) | (~Q(verdict="") & ~Q(verdict_at=None)),
                name="a_verdict_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.title}"

    @property
    def label(self) -> str:
        """The number as people say it."""
        return f"WO-{self.number:06d}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN


class WorkOrderEvent(models.Model):
    """What happened to an order. Append-only; `request_id` keeps a repeat from counting twice."""

    class Kind(models.TextChoices):
        CREATED = "created", "Made"
        FINDING = "finding", "Found again"
        APPROVED = "approved", "Approved"
        SCHEDULED = "scheduled", "Scheduled"
        STARTED = "started", "Begun"
        CHECKED = "checked", "Checked"
        LABOUR = "labour", "Time booked"
        PART = "part", "Part used"
        PHOTO = "photo", "Photo added"
        SIGNED = "signed", "Signed"
        COMMENT = "comment", "Comment"
        DONE = "done", "Done"
        VERIFIED = "verified", "Verified"
        REJECTED = "rejected", "Rejected"

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    state = models.CharField(max_length=9, choices=WorkOrder.State.choices)  # from here on
    at = models.DateTimeField()
    by = person()
    text = models.CharField(max_length=2000, blank=True)
    request_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["order", "at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "request_id"], name="a_request_counts_once_an_order"
            )
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.kind}"
