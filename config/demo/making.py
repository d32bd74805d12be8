"""Lots, runs and decisions of a demonstration, written down as an MES and its people would."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import transaction

from config.demo.batches import MadeLot, Step
from production import services
from production.models import Inspection, InspectionPlan, Lot, Nonconformance, OperationRun, Product
from production.services import LotFields, Receipt, RunFields
from tenants.context import current_factory
from tenants.models import Membership, User

TOGETHER = 40
CONTAINED_AFTER = timedelta(hours=5)
DECIDED_AFTER = timedelta(hours=28)
CLOSED_AFTER = timedelta(hours=70)
State, Disposition = Nonconformance.State, Nonconformance.Disposition
REWORK_COST_MINOR = 24_000

Item = TypeVar("Item")


def member(role: str) -> User:
    """Return the person who has a role in the factory at work."""
    members = Membership.objects.select_related("user").order_by("pk")
    return members.filter(factory=current_factory(), role=role)[0].user


def product(*, item_no: str, name: str, unit_cost_minor: int) -> Product:
    """Make or find an item."""
    found = Product.objects.filter(item_no=item_no).first()
    return found or services.make_product(
        item_no=item_no, name=name, unit_cost_minor=unit_cost_minor
    )


def request_id(*words: str) -> UUID:
    """Return the same id for the same words: what is written down twice counts once."""
    return uuid5(NAMESPACE_URL, "/".join(("demo", current_factory().schema_name, *words)))


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)


def groups(items: Sequence[Item], size: int = TOGETHER) -> Iterator[Sequence[Item]]:
    """Cut a list into parts: a commit for each of weeks of inspections would take long."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def write_down(
    lots: Sequence[MadeLot], *, machine_ids: Mapping[str, UUID], now: float
) -> dict[str, UUID]:
    """Write down what has begun or ended by now and is not known yet; returns all lots by code.

    Raises:
        ValueError: something was refused; its own words are given.
    """
    begun = [lot for lot in lots if lot.started <= now]
    item_nos = {lot.product for lot in begun}
    rows = OperationRun.objects.filter(lot__product__item_no__in=item_nos)
    states = {
        (code, operation): state
        for code, operation, state in rows.values_list("lot__code", "operation", "state")
    }
    known = {code for code, _ in states}
    for group in groups([lot for lot in begun if lot.code not in known]):
        with transaction.atomic():
            for lot in group:
                # One by one, because each is written down when it began.
                _taken(services.record_lots(items=[_lot(lot)], at=moment(lot.started)))
    told = [
        _run(lot, step, machine_ids, now)
        for lot in begun
        for step in lot.steps
        if step.batch.started <= now
        and _says_more(states.get((lot.code, step.operation)), step, now)
    ]
    for part in groups(told, services.MAX_BULK):
        _taken(services.record_runs(items=part, at=moment(now)))
    return dict(Lot.objects.filter(product__item_no__in=item_nos).values_list("code", "pk"))


def _lot(lot: MadeLot) -> LotFields:
    return LotFields(lot.product, lot.code, moment(lot.started), Decimal(lot.last.n_pieces))


def _says_more(state: str | None, step: Step, now: float) -> bool:
    return state is None or (state == OperationRun.State.RUNNING and step.batch.ended <= now)


def _run(lot: MadeLot, step: Step, machine_ids: Mapping[str, UUID], now: float) -> RunFields:
    batch = step.batch
    return RunFields(
        product=lot.product, lot=lot.code, operation=step.operation, sequence=step.sequence,
        machine_id=machine_ids[batch.machine], started_at=moment(batch.started),
        ended_at=moment(batch.ended) if batch.ended <= now else None, parameters=step.parameters,
    )  # fmt: skip


def _taken(receipt: Receipt[Lot] | Receipt[OperationRun]) -> None:
    if receipt.rejected:
        raise ValueError(f"refused: {receipt.rejected[0].message}")


def inspected(plan: InspectionPlan) -> set[UUID]:
    """Return the ids of the requests by which inspections of a plan, in any version, were told."""
    rows = Inspection.objects.filter(plan__product=plan.product_id, plan__name=plan.name)
    found = rows.exclude(request_id=None).values_list("request_id", flat=True)
    return {each for each in found if each is not None}


def settle(
    *, product_id: UUID, dispositions: Mapping[str, str], by: User, at: datetime
) -> None:  # fmt: skip
    """Take every nonconformance of a product as far as people are with it after so long.

    Args:
        dispositions: code of a defect -> what becomes of such material; else it is scrapped.
    """
    rows = Nonconformance.objects.filter(product=product_id).exclude(state=State.CLOSED)
    for group in groups(list(rows.select_related("defect_type").order_by("number"))):
        with transaction.atomic():
            for found in group:
                code = found.defect_type.code if found.defect_type else ""
                _settle_one(found, dispositions.get(code, Disposition.SCRAP), by=by, at=at)


def _settle_one(found: Nonconformance, disposition: str, *, by: User, at: datetime) -> None:
    pk = found.pk
    contained_at = found.found_at + CONTAINED_AFTER
    decided_at, closed_at = found.found_at + DECIDED_AFTER, found.found_at + CLOSED_AFTER
    if found.state == State.OPEN and contained_at <= at:
        services.contain_nonconformance(
            nonconformance_id=pk, at=contained_at, by=by, text="Set apart, tagged red."
        )
        found.state = State.CONTAINED
    if found.state == State.CONTAINED and decided_at <= at:
        is_rework = disposition == Disposition.REWORK
        services.decide_nonconformance(
            nonconformance_id=pk, disposition=disposition, at=decided_at, by=by,
            cost_minor=REWORK_COST_MINOR if is_rework else None,
        )  # fmt: skip
        found.state = State.DISPOSITIONED
    if found.state == State.DISPOSITIONED and closed_at <= at:
        services.close_nonconformance(nonconformance_id=pk, at=closed_at, by=by, text="Done.")
        _free(found, by=by, at=closed_at)


def _free(found: Nonconformance, *, by: User, at: datetime) -> None:
    """Release a lot that was held for a nonconformance that is settled."""
    lot = found.lot
    if lot is None:
        return
    lot.refresh_from_db()
    others = lot.nonconformances.exclude(state=State.CLOSED)
    if lot.state == Lot.State.HELD and not others.exists():
        services.release_lot(lot_id=lot.pk, at=at, by=by, text=f"{found} is settled.")
