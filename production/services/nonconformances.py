"""The life of a nonconformance: open, contained, decided, closed.

A step carries the id of its request; a repeat changes nothing. The lot's row is held first, then
that of the nonconformance.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction

from production.models import (
    DefectType,
    Inspection,
    Lot,
    Machine,
    Nonconformance,
    NonconformanceEvent,
    Product,
    Verdict,
)
from production.services.lots import BEFORE, MAX_MINOR, hold_row, write_state
from production.services.numbers import take_numbers
from production.services.refusals import IllegalStep, Invalid, RequestUsed, Unknown
from tenants.context import current_factory
from tenants.models import User

State, Disposition = Nonconformance.State, Nonconformance.Disposition
# What is lost when it is decided so, where nobody says otherwise; rework costs what it costs.
_LOST = {Disposition.SCRAP: 1, Disposition.RETURN: 1, Disposition.USE: 0}
MAX_QUANTITY = Decimal(10**11)


def report_nonconformance(
    *,
    product_id: UUID,
    at: datetime,
    by: User | None,
    text: str,
    lot_id: UUID | None = None,
    machine_id: UUID | None = None,
    defect_type: DefectType | None = None,
    source: str = Nonconformance.Source.RUN,
    quantity: Decimal = Decimal(1),
    request_id: UUID | None = None,
) -> Nonconformance:
    """Write down that material is not as it should be; the same request returns the same one.

    Raises:
        Unknown: no such product, lot or machine.
        Invalid: nothing is said, of nothing, or the lot is of another product.
    """
    if not text.strip():
        raise Invalid("Say what is wrong.")
    if not 0 < quantity < MAX_QUANTITY:
        raise Invalid("The quantity lies out of range.")
    if not Product.objects.filter(pk=product_id).exists():
        raise Unknown("product", product_id)
    lot = Lot.objects.filter(pk=lot_id).first() if lot_id else None
    if lot_id and lot is None:
        raise Unknown("lot", lot_id)
    if lot is not None and lot.product_id != product_id:
        raise Invalid("The lot is of another product.")
    if machine_id and not Machine.objects.filter(pk=machine_id).exists():
        raise Unknown("machine", machine_id)
    try:
        with transaction.atomic():
            return insert(
                product_id=product_id, lot_id=lot_id, machine_id=machine_id, source=source,
                defect_type=defect_type, quantity=quantity, text=text, at=at, by=by,
                request_id=request_id,
            )  # fmt: skip
    except IntegrityError:
        found = Nonconformance.objects.filter(request_id=request_id).first() if request_id else None
        if found is None:
            raise
        return found


def insert(
    *,
    product_id: UUID,
    at: datetime,
    by: User | None,
    source: str,
    quantity: Decimal,
    text: str,
    lot_id: UUID | None = None,
    machine_id: UUID | None = None,
    inspection: Inspection | None = None,
    defect_type: DefectType | None = None,
    found_at: datetime | None = None,
    request_id: UUID | None = None,
) -> Nonconformance:
    """Insert one under the next number, with its first event; call it in a transaction."""
    found = Nonconformance.objects.create(
        number=take_numbers("nonconformance"), product_id=product_id, lot_id=lot_id,
        machine_id=machine_id, inspection=inspection, defect_type=defect_type, source=source,
        quantity=quantity, text=text[:2000], currency=current_factory().currency,
        found_at=found_at or at,
        created_by_id=by.pk if by else None, request_id=request_id,
    )  # fmt: skip
    record(found, at=at, by=by, text=text)
    return found


def record(
    found: Nonconformance,
    *,
    at: datetime,
    by: User | None,
    text: str = "",
    request_id: UUID | None = None,
) -> None:
    """Append an event; its state is that of the nonconformance."""
    NonconformanceEvent.objects.create(
        nonconformance=found, state=found.state, disposition=found.disposition, at=at,
        by_id=by.pk if by else None, text=text[:2000], request_id=request_id,
    )  # fmt: skip


def contain_nonconformance(
    *,
    nonconformance_id: UUID,
    at: datetime,
    by: User | None,
    text: str = "",
    request_id: UUID | None = None,
) -> Nonconformance:
    """Say that the material is set apart; the lot that it is part of is held.

    Raises:
        Unknown: no such nonconformance.
        IllegalStep: it is not open.
    """

    def apart(found: Nonconformance, lot: Lot | None) -> None:
        found.state = State.CONTAINED
        if lot is not None and lot.state in BEFORE[Lot.State.HELD]:
            write_state(lot, state=Lot.State.HELD, at=at, by=by, text=f"{found}: set apart.")

    return _step(
        nonconformance_id, from_states=(State.OPEN,), to=State.CONTAINED, then=apart, at=at,
        by=by, text=text, request_id=request_id,
    )  # fmt: skip


def decide_nonconformance(
    *,
    nonconformance_id: UUID,
    disposition: str,
    at: datetime,
    by: User | None,
    cost_minor: int | None = None,
    text: str = "",
    request_id: UUID | None = None,
) -> Nonconformance:
    """Decide what becomes of the material; until it is closed it may be decided anew.

    Without a cost, what is scrapped or returned costs what its units have cost, what is used as it
    is costs nothing, and what rework costs is not known. Scrapping a whole lot scraps the lot.

    Raises:
        Unknown: no such nonconformance.
        IllegalStep: it is closed.
        Invalid: the cost lies out of range.
    """
    if cost_minor is not None and not 0 <= cost_minor <= MAX_MINOR:
        raise Invalid("The cost lies out of range.")

    def settle(found: Nonconformance, lot: Lot | None) -> None:
        found.state, found.disposition = State.DISPOSITIONED, disposition
        found.cost_minor = cost_minor if cost_minor is not None else _cost(found, disposition)
        is_whole = lot is not None and found.quantity >= lot.quantity
        if disposition == Disposition.SCRAP and lot is not None and is_whole:
            _scrap(lot, found, at=at, by=by)

    return _step(
        nonconformance_id, from_states=(State.OPEN, State.CONTAINED, State.DISPOSITIONED),
        to=State.DISPOSITIONED, then=settle, at=at, by=by, text=text, request_id=request_id,
        disposition=disposition,
    )  # fmt: skip


def _cost(found: Nonconformance, disposition: str) -> int | None:
    if disposition not in _LOST:
        return None
    if not _LOST[Disposition(disposition)]:
        return 0
    unit_cost_minor = found.product.unit_cost_minor
    if unit_cost_minor is None:
        return None
    cost = round(unit_cost_minor * found.quantity)
    if cost > MAX_MINOR:
        raise Invalid("The cost lies out of range: give it.")
    return cost


def _scrap(lot: Lot, found: Nonconformance, *, at: datetime, by: User | None) -> None:
    if lot.state == Lot.State.SCRAPPED:
        return
    if lot.state not in BEFORE[Lot.State.SCRAPPED]:
        word = lot.get_state_display().lower()
        raise IllegalStep(f"Lot {lot.code} is {word}: it cannot be scrapped.")
    write_state(lot, state=Lot.State.SCRAPPED, at=at, by=by, text=f"{found}: scrapped.")


def close_nonconformance(
    *,
    nonconformance_id: UUID,
    at: datetime,
    by: User | None,
    text: str = "",
    request_id: UUID | None = None,
) -> Nonconformance:
    """Say that what was decided has been done.

    Raises:
        Unknown: no such nonconformance.
        IllegalStep: nothing is decided yet, or it is closed.
    """

    def finish(found: Nonconformance, _lot: Lot | None) -> None:
        found.state, found.closed_at = State.CLOSED, at

    return _step(
        nonconformance_id, from_states=(State.DISPOSITIONED,), to=State.CLOSED, then=finish,
        at=at, by=by, text=text, request_id=request_id,
    )  # fmt: skip


def _step(
    nonconformance_id: UUID,
    *,
    from_states: tuple[str, ...],
    to: str,
    then: Callable[[Nonconformance, Lot | None], None],
    at: datetime,
    by: User | None,
    text: str,
    request_id: UUID | None,
    disposition: str = "",
) -> Nonconformance:
    with transaction.atomic():
        lot_id = _lot_of(nonconformance_id)
        lot = hold_row(lot_id) if lot_id else None
        rows = Nonconformance.objects.select_for_update(no_key=True, of=("self",))
        found = rows.select_related("product").get(pk=nonconformance_id)
        if request_id and (first := found.events.filter(request_id=request_id).first()):
            if first.state != to or (disposition and first.disposition != disposition):
                raise RequestUsed
            return found
        if found.state not in from_states:
            raise IllegalStep(f"{found} is {found.get_state_display().lower()}.")
        then(found, lot)
        found.save(update_fields=["state", "disposition", "cost_minor", "closed_at"])
        record(found, at=at, by=by, text=text, request_id=request_id)
    return found


def _lot_of(nonconformance_id: UUID) -> UUID | None:
    row = Nonconformance.objects.filter(pk=nonconformance_id).values_list("lot_id").first()
    if row is None:
        raise Unknown("nonconformance", nonconformance_id)
    return row[0]


def follow_verdict(
    *,
    inspection: Inspection,
    at: datetime,
    by: User | None,
    text: str,
    defect_type: DefectType | None,
) -> None:
    """Open the nonconformance of an inspection that failed, or close that of one that passed.

    The rows of the lot and the inspection are held. What people have decided stays decided: a
    scrapped part does not come back with a word.
    """
    rows = Nonconformance.objects.select_for_update(no_key=True)
    found = rows.filter(inspection=inspection).first()
    if inspection.verdict == Verdict.FAIL and found is None:
        is_whole = not inspection.piece and inspection.lot is not None
        insert(
            product_id=inspection.plan.product_id, lot_id=inspection.lot_id,
            machine_id=inspection.machine_id, inspection=inspection, defect_type=defect_type,
            found_at=inspection.inspected_at, source=Nonconformance.Source.INSPECTION, text=text,
            at=at, by=by,
            quantity=inspection.lot.quantity if is_whole and inspection.lot else Decimal(1),
        )  # fmt: skip
    elif inspection.verdict == Verdict.FAIL and found is not None and _was_let_go(found):
        _turn(found, State.OPEN, disposition="", cost_minor=None, closed_at=None)
        record(found, at=at, by=by, text="Judged as failed again.")
    elif inspection.verdict == Verdict.PASS and found is not None and not found.disposition:
        _turn(found, State.CLOSED, disposition=Disposition.USE, cost_minor=0, closed_at=at)
        record(found, at=at, by=by, text="Judged as good.")


def _was_let_go(found: Nonconformance) -> bool:
    return found.state == State.CLOSED and found.disposition == Disposition.USE


def _turn(
    found: Nonconformance,
    state: str,
    *,
    disposition: str,
    cost_minor: int | None,
    closed_at: datetime | None,
) -> None:
    found.state, found.disposition = state, disposition
    found.cost_minor, found.closed_at = cost_minor, closed_at
    found.save(update_fields=["state", "disposition", "cost_minor", "closed_at"])
