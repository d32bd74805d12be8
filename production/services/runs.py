"""Runs of operations: which machine worked on which lot, when, and with which parameters.

A run is known by its lot, operation and number, so a system of the plant may send it again; what
it sends later counts, but what has ended is not begun again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from production.models import Lot, Machine, OperationRun
from production.services.due_inspections import make_due_for_runs
from production.services.lots import Receipt
from production.services.refusals import Invalid, Refused, Unknown

State = OperationRun.State
Parameter = str | float | int | bool | None
MAX_PARAMETERS = 200
MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class RunFields:
    """A run by the names that other systems use: `product` is an item number, `lot` a code.

    Without `ended_at` it is running. `parameters` are set points, tool, recipe, material.
    """

    product: str
    lot: str
    operation: str
    machine_id: UUID | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_aborted: bool = False
    sequence: int = 10
    run_no: int = 1
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def start_run(
    *,
    lot: Lot,
    operation: str,
    machine_id: UUID,
    started_at: datetime,
    at: datetime,
    sequence: int = 10,
    run_no: int = 1,
    parameters: Mapping[str, Parameter] | None = None,
) -> OperationRun:
    """Write down that a machine began an operation on a lot. Raises as `record_runs` rejects."""
    return _one(
        RunFields(
            product=lot.product.item_no, lot=lot.code, operation=operation, machine_id=machine_id,
            started_at=started_at, sequence=sequence, run_no=run_no, parameters=parameters or {},
        ),
        at=at,
    )  # fmt: skip


def finish_run(
    *,
    lot: Lot,
    operation: str,
    ended_at: datetime,
    at: datetime,
    machine_id: UUID | None = None,
    started_at: datetime | None = None,
    is_aborted: bool = False,
    sequence: int = 10,
    run_no: int = 1,
    parameters: Mapping[str, Parameter] | None = None,
) -> OperationRun:
    """Write down that an operation on a lot has ended; inspections become due.

    One whose beginning nobody told needs its machine and its beginning here.
    Raises as `record_runs` rejects.
    """
    return _one(
        RunFields(
            product=lot.product.item_no, lot=lot.code, operation=operation, machine_id=machine_id,
            started_at=started_at, ended_at=ended_at, is_aborted=is_aborted, sequence=sequence,
            run_no=run_no, parameters=parameters or {},
        ),
        at=at,
    )  # fmt: skip


def _one(item: RunFields, *, at: datetime) -> OperationRun:
    return record_runs(items=[item], at=at, is_strict=True).rows[0]


@transaction.atomic
def record_runs(
    *, items: Sequence[RunFields], at: datetime, is_strict: bool = False
) -> Receipt[OperationRun]:
    """Write down many runs at once, with the inspections that are due after them.

    A bad item sinks no other. Parameters are added to those that are known; the newest value of a
    name counts.

    Args:
        items: at most MAX_BULK of `lots`.
        is_strict: raise the first refusal instead of noting it.

    Raises:
        Unknown, Invalid: only where `is_strict`.
    """
    receipt: Receipt[OperationRun] = Receipt()
    books = _Books.of(items)
    for index, item in enumerate(items):
        try:
            receipt.rows[index] = books.run(item)
        except Refused as refusal:
            if is_strict:
                raise
            receipt.reject(index, refusal)
    fresh = [run for run in books.runs.values() if run._state.adding]
    changed = [run for run in books.runs.values() if run in books.changed and run not in fresh]
    OperationRun.objects.bulk_create(fresh)
    OperationRun.objects.bulk_update(
        changed, ["machine", "sequence", "state", "started_at", "ended_at", "parameters"]
    )
    receipt.n_stored, receipt.n_changed = len(fresh), len(changed)
    receipt.n_known = len(receipt.rows) - len(fresh) - len(changed)
    ended = [run for run in books.runs.values() if run.pk in books.ended]
    make_due_for_runs(runs=ended, at=at)
    return receipt


@dataclass(slots=True)
class _Books:
    """What a list of runs speaks of; the rows of its lots are held."""

    lots: dict[tuple[str, str], Lot]
    machines: set[UUID]
    runs: dict[tuple[UUID, str, int], OperationRun]
    changed: set[OperationRun] = field(default_factory=set)
    ended: set[UUID] = field(default_factory=set)

    @classmethod
    def of(cls, items: Sequence[RunFields]) -> "_Books":
        numbers, codes = {item.product for item in items}, {item.lot for item in items}
        rows = Lot.objects.filter(product__item_no__in=numbers, code__in=codes)
        # The parents as well: how many of their parts were looked at is counted below them.
        family = Q(pk__in=rows.values("pk")) | Q(children__in=rows.values("pk"))
        pks = list(Lot.objects.filter(family).order_by("pk").values_list("pk", flat=True))
        held = Lot.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=pks)
        lots = {
            (lot.product.item_no, lot.code): lot
            for lot in held.select_related("product").order_by("pk")
        }
        wanted = {item.machine_id for item in items if item.machine_id is not None}
        runs = OperationRun.objects.filter(lot__in=[lot.pk for lot in lots.values()])
        return cls(
            lots=lots,
            machines=set(Machine.objects.filter(pk__in=wanted).values_list("pk", flat=True)),
            runs={(run.lot_id, run.operation, run.run_no): run for run in runs},
        )

    def run(self, item: RunFields) -> OperationRun:
        lot = self.lots.get((item.product, item.lot))
        if lot is None:
            raise Unknown("lot", f"{item.lot} of {item.product}")
        if item.machine_id is not None and item.machine_id not in self.machines:
            raise Unknown("machine", item.machine_id)
        check_parameters(item.parameters)
        key = (lot.pk, item.operation, item.run_no)
        known = self.runs.get(key)
        run = known or OperationRun(lot=lot, operation=item.operation, run_no=item.run_no)
        before = _said(run)
        was_ended = run.state != State.RUNNING
        _tell(run, item)
        run.lot = lot
        self.runs[key] = run
        if known is not None and _said(run) != before:
            self.changed.add(run)
        if run.state == State.FINISHED and not was_ended:
            self.ended.add(run.pk)
        return run


def _said(run: OperationRun) -> tuple[object, ...]:
    return (
        run.machine_id, run.sequence, run.state, run.started_at, run.ended_at,
        tuple(sorted(run.parameters.items())),
    )  # fmt: skip


def _tell(run: OperationRun, item: RunFields) -> None:
    """Take up what an item says about a run; nothing is taken up from one that makes no sense."""
    machine_id = item.machine_id or run.machine_id
    started_at = item.started_at or run.started_at
    ended_at = item.ended_at or run.ended_at
    if not item.operation.strip():
        raise Invalid("A run needs the name of its operation.")
    if machine_id is None or started_at is None:
        raise Invalid("A run needs its machine and when it began.")
    if ended_at is not None and ended_at < started_at:
        raise Invalid("A run cannot end before it began.")
    run.machine_id, run.started_at, run.ended_at = machine_id, started_at, ended_at
    run.sequence = item.sequence
    run.parameters = {**run.parameters, **item.parameters}
    if item.ended_at is not None:
        run.state = State.ABORTED if item.is_aborted else State.FINISHED


def check_parameters(parameters: Mapping[str, Parameter]) -> None:
    """Refuse what is no flat set of names with numbers, words or yes and no.

    Raises:
        Invalid: says which name.
    """
    if len(parameters) > MAX_PARAMETERS:
        raise Invalid(f"A run has at most {MAX_PARAMETERS} parameters.")
    for name, value in parameters.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not (isfinite(value) and abs(value) <= 1e15):  # type: ignore[arg-type]
            raise Invalid(f"{name[:40]}: this is no number that can be kept.")
        if not isinstance(value, str | int | float | bool | None):
            raise Invalid(f"{name[:40]}: give a number, a word, or yes or no.")
        text = f"{name}{value if isinstance(value, str) else ''}"
        if len(text) > MAX_TEXT or not text.isprintable():
            raise Invalid(f"{name[:40]!a}: this text cannot be kept.")
