"""Verdicts of inspections, and what follows: nonconformances are opened, lots are held."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from production.models import (
    DefectType,
    FoundDefect,
    Inspection,
    InspectionVerdict,
    Lot,
    LotEvent,
    Verdict,
)
from production.services.lots import BEFORE, hold_family, write_state
from production.services.measuring import agree, defect_counts
from production.services.nonconformances import follow_verdict
from production.services.refusals import IllegalStep, RequestUsed, Unknown
from tenants.models import User

# How a hold that an inspection made begins: only such a one is lifted by a better verdict.
HELD_BY_INSPECTION = "Inspection: "
_WEIGHT = {
    DefectType.Severity.CRITICAL: 3, DefectType.Severity.MAJOR: 2, DefectType.Severity.MINOR: 1,
}  # fmt: skip


@transaction.atomic
def judge(
    *,
    inspection_id: UUID,
    verdict: str,
    at: datetime,
    by: User | None,
    source: str = Inspection.Source.PERSON,
    note: str = "",
    defects: Mapping[str, int] | None = None,
    request_id: UUID | None = None,
) -> Inspection:
    """Add a verdict to an inspection that is done; the newest by `at` counts.

    The first verdict stays, for first-pass yield. A fail opens the inspection's nonconformance and
    may hold the lot; a pass closes what nobody has decided yet, and lifts a hold that inspections
    made. The same request judges once.

    Args:
        defects: code of a kind of defect -> how often it was found.

    Raises:
        Unknown: no such inspection or kind of defect.
        IllegalStep: nobody has inspected it yet.
        Contradiction: the verdict and the values cannot both be right, and no person says why.
        RequestUsed: the request's id was used for another verdict.
    """
    inspection = _held(inspection_id)
    if request_id and (first := inspection.verdicts.filter(request_id=request_id).first()):
        if first.verdict != verdict:
            raise RequestUsed
        return inspection
    if inspection.state != Inspection.State.DONE:
        raise IllegalStep(f"{inspection} is {inspection.get_state_display().lower()}.")
    rows = list(
        inspection.measurements.filter(void_cause="").select_related(
            "characteristic", "characteristic__defect_type"
        )
    )
    characteristics = list(inspection.plan.characteristics.all())
    agree(verdict, rows, characteristics, defects=defects or {}, source=source, note=note)
    counts = defect_counts(rows, defects or {}, verdict=verdict)
    write_verdict(
        inspection, verdict=verdict, counts=counts, source=source, note=note, verdict_at=at,
        at=at, by=by, request_id=request_id,
    )  # fmt: skip
    return inspection


def _held(inspection_id: UUID) -> Inspection:
    """Hold the row of the inspection's lot, then its own."""
    row = Inspection.objects.filter(pk=inspection_id).values_list("lot_id").first()
    if row is None:
        raise Unknown("inspection", inspection_id)
    lot = hold_family(row[0]) if row[0] else None
    held = Inspection.objects.select_for_update(no_key=True, of=("self",))
    inspection = held.select_related("plan").get(pk=inspection_id)
    inspection.lot = lot
    return inspection


def write_verdict(
    inspection: Inspection,
    *,
    verdict: str,
    counts: Mapping[DefectType, int],
    source: str,
    note: str,
    verdict_at: datetime,
    at: datetime,
    by: User | None,
    request_id: UUID | None = None,
) -> None:
    """Append a verdict to an inspection, with all that follows.

    The rows of the inspection, its lot and the lot's parent are held (`hold_family`).
    """
    said = InspectionVerdict.objects.create(
        inspection=inspection, verdict=verdict, source=source, by_id=by.pk if by else None,
        at=verdict_at, note=note[:500], request_id=request_id,
    )  # fmt: skip
    FoundDefect.objects.bulk_create(
        FoundDefect(verdict=said, defect_type=defect_type, count=count)
        for defect_type, count in counts.items()
    )
    newest = inspection.verdicts.order_by("-at", "-pk").first() or said
    inspection.verdict = newest.verdict
    inspection.first_verdict = inspection.first_verdict or verdict
    inspection.save(update_fields=["verdict", "first_verdict"])
    if newest.pk != said.pk:
        return
    worst = max(counts, key=lambda each: (_WEIGHT[DefectType.Severity(each.severity)],
                                          counts[each], each.code), default=None)  # fmt: skip
    words = ", ".join(each.name for each in counts) or ", ".join(_out(inspection))
    follow_verdict(
        inspection=inspection, at=at, by=by, defect_type=worst,
        text=f"{inspection}: {words or note or 'failed'}",
    )  # fmt: skip
    if inspection.lot is not None:
        _follow_in_lot(inspection, inspection.lot, at=at, by=by)


def _out(inspection: Inspection) -> list[str]:
    """Return the names of what was measured and is out of its limits."""
    rows = inspection.measurements.filter(is_within=False, void_cause="")
    return list(rows.order_by("pk").values_list("characteristic__name", flat=True))


def _follow_in_lot(inspection: Inspection, lot: Lot, *, at: datetime, by: User | None) -> None:
    """Hold or free the lot and the lot that it is a part of, by the plan's acceptance number."""
    _hold_or_free(inspection, lot, most=0 if lot.is_serial else _most(inspection), at=at, by=by)
    if lot.parent is not None:
        _hold_or_free(inspection, lot.parent, most=_most(inspection), at=at, by=by)


def _most(inspection: Inspection) -> int:
    return inspection.plan.acceptance_number


def _hold_or_free(
    inspection: Inspection, lot: Lot, *, most: int, at: datetime, by: User | None
) -> None:
    if inspection.verdict not in (Verdict.PASS, Verdict.FAIL):
        return
    n_bad = n_defective(lot, plan_name=inspection.plan.name)
    if n_bad > most and lot.state in BEFORE[Lot.State.HELD]:
        words = f"{n_bad} defective, at most {most} accepted ({inspection.plan.name})."
        write_state(lot, state=Lot.State.HELD, at=at, by=by, text=f"{HELD_BY_INSPECTION}{words}")
    elif n_bad <= most and _is_held_by_inspection(lot):
        write_state(
            lot, state=Lot.State.RELEASED, at=at, by=by,
            text=f"{inspection}: {n_bad} defective, {most} accepted.",
        )  # fmt: skip


def _is_held_by_inspection(lot: Lot) -> bool:
    if lot.state != Lot.State.HELD:
        return False
    newest = LotEvent.objects.filter(lot=lot).order_by("-at", "-pk").first()
    return newest is not None and newest.text.startswith(HELD_BY_INSPECTION)


def n_defective(lot: Lot, *, plan_name: str) -> int:
    """Count the pieces of a lot, or the parts below it, whose newest inspection has failed."""
    rows = Inspection.objects.filter(
        Q(lot=lot) | Q(lot__parent=lot), plan__name=plan_name, plan__product=lot.product_id,
        state=Inspection.State.DONE,
    )  # fmt: skip
    newest = rows.order_by("lot", "piece", "-inspected_at", "-number").distinct("lot", "piece")
    return sum(verdict == Verdict.FAIL for verdict in newest.values_list("verdict", flat=True))
