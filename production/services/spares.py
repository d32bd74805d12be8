"""Spare parts and what happens to them on the shelf."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from production.models import SparePart, StockMovement
from tenants.models import User


class PartNumberTaken(Exception):
    """Another part has this number."""

    def __init__(self, part_no: str) -> None:
        super().__init__(f"There is a part {part_no} already.")
        self.part_no = part_no


class LimitsOutOfOrder(Exception):
    """The most of a part lies below its least."""

    def __init__(self) -> None:
        super().__init__("The most cannot lie below the least.")


class NothingMoved(Exception):
    """A movement of nothing."""

    def __init__(self) -> None:
        super().__init__("Give how many came or left.")


@dataclass(frozen=True, slots=True)
class PartFields:
    """What is said of a part; money in minor units of the factory's currency."""

    part_no: str
    name: str
    unit: str = "pcs"
    min_quantity: Decimal = Decimal(0)
    max_quantity: Decimal | None = None
    lead_time_days: int | None = None
    unit_cost_minor: int | None = None
    machine_type_id: UUID | None = None
    component: str = ""
    status: str = "active"

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def save_part(*, fields: PartFields, part: SparePart | None = None) -> SparePart:
    """Add a part, or change one.

    Raises:
        PartNumberTaken: its number belongs to another part.
        LimitsOutOfOrder: the most lies below the least.
    """
    if fields.max_quantity is not None and fields.max_quantity < fields.min_quantity:
        raise LimitsOutOfOrder
    taken = SparePart.objects.filter(part_no=fields.part_no)
    if part is not None:
        taken = taken.exclude(pk=part.pk)
    if taken.exists():
        raise PartNumberTaken(fields.part_no)
    saved = part or SparePart()
    for name, value in fields.as_dict().items():
        setattr(saved, name, value)
    try:
        with transaction.atomic():
            saved.save()
    except IntegrityError:
        if taken.exists():
            raise PartNumberTaken(fields.part_no) from None
        raise
    return saved


def move_stock(
    *,
    part: SparePart,
    quantity: Decimal,
    reason: str,
    at: datetime,
    by: User | None,
    note: str = "",
    request_id: UUID | None = None,
) -> StockMovement:
    """Write down what came onto the shelf (above zero) or left it; a repeat moves nothing.

    Raises:
        NothingMoved: the quantity is zero.
    """
    if quantity == 0:
        raise NothingMoved
    try:
        with transaction.atomic():
            return StockMovement.objects.create(
                part=part, quantity=quantity, reason=reason, moved_at=at, note=note[:200],
                by_id=by.pk if by else None, request_id=request_id,
            )  # fmt: skip
    except IntegrityError:
        found = StockMovement.objects.filter(request_id=request_id).first() if request_id else None
        if found is None:
            raise
        return found


def count_stock(
    *, part: SparePart, counted: Decimal, at: datetime, by: User | None,
    request_id: UUID | None = None,
) -> StockMovement | None:  # fmt: skip
    """Correct the stock to what was counted; None where it was right."""
    with transaction.atomic():
        # Counting and moving the same part wait for each other here.
        SparePart.objects.select_for_update().get(pk=part.pk)
        moved = StockMovement.objects.filter(part=part).values_list("quantity", flat=True)
        difference = counted - sum(moved, Decimal(0))
        if difference == 0:
            return None
        return move_stock(
            part=part, quantity=difference, reason=StockMovement.Reason.COUNT, at=at, by=by,
            request_id=request_id,
        )  # fmt: skip
