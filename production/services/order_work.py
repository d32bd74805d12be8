"""What a technician writes down: checks, time, parts, photos, a signature. Each counts once."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db.models import F

from production import photos, strokes
from production.models import (
    CheckItem,
    LabourRow,
    OrderPart,
    OrderPhoto,
    OrderSignature,
    SparePart,
    StockMovement,
    WorkOrder,
    WorkOrderEvent,
)
from production.services.orders import NOT_CLOSED, NotPossible, change, propose_work_order
from tenants import names, storage
from tenants.models import User

EventKind = WorkOrderEvent.Kind
MAX_PHOTOS = 20
MAX_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes something down, when, and by which request (the same one counts once)."""

    by: User | None
    at: datetime
    request_id: UUID | None = None

    def fields(self) -> dict[str, Any]:
        return {"by": self.by, "at": self.at, "request_id": self.request_id}

    @property
    def user_id(self) -> int | None:
        return self.by.pk if self.by else None


def check(
    *, order: WorkOrder, item: CheckItem, is_ok: bool, value: float | None, actor: Actor
) -> WorkOrder:
    """Tick off a line of the checklist, or say that it is not in order.

    What is not in order gets a repair of its own, which waits for approval.

    Raises:
        NotPossible: the order is closed, or the line asks for a value.
    """
    if item.unit and value is None:
        raise NotPossible(f"{item.text}: give the value in {item.unit}.")

    def tick(row: WorkOrder) -> str:
        CheckItem.objects.filter(pk=item.pk, order=row).update(
            is_ok=is_ok, value=value, done_at=actor.at, done_by_id=actor.user_id
        )
        words = f"{item.text}: {'in order' if is_ok else 'not in order'}"
        if value is not None:
            words += f", {value:g} {item.unit}".rstrip()
        if not is_ok:
            propose_work_order(
                machine_id=row.machine_id, title=f"Not in order: {item.text}"[:120],
                dedup_key=f"check:{item.pk}", at=actor.at, kind=WorkOrder.Kind.CORRECTIVE,
                source=WorkOrder.Source.PLAN if row.plan_id else WorkOrder.Source.PERSON,
                source_ref=row.label, component=row.component,
                reason=f"Found on {row.label}. {words}.", priority=min(row.priority, 3),
            )  # fmt: skip
        return words

    return change(
        order=order, states=NOT_CLOSED, kind=EventKind.CHECKED, then=tick, **actor.fields()
    )


def add_labour(
    *, order: WorkOrder, minutes: int, rate_minor_per_h: int | None, actor: Actor
) -> WorkOrder:
    """Book time that a person worked.

    Raises:
        NotPossible: the order is closed, or the time is none that a person works.
    """
    if not 0 < minutes <= MAX_MINUTES:
        raise NotPossible("Give the time in minutes, from 1 to a week.")

    def book(row: WorkOrder) -> str:
        LabourRow.objects.create(
            order=row, worker_id=actor.user_id, minutes=minutes,
            rate_minor_per_h=rate_minor_per_h, at=actor.at,
        )  # fmt: skip
        return f"{minutes} min"

    return change(
        order=order, states=NOT_CLOSED, kind=EventKind.LABOUR, then=book, **actor.fields()
    )


def use_part(*, order: WorkOrder, part: SparePart, quantity: Decimal, actor: Actor) -> WorkOrder:
    """Take a part off the shelf for an order; a quantity below zero brings it back.

    The stock may fall below zero: the part was used, and the count was wrong.

    Raises:
        NotPossible: the order is closed, nothing is moved, or more comes back than was taken.
    """
    if quantity == 0:
        raise NotPossible("Give how many were used.")

    def take(row: WorkOrder) -> str:
        used, _ = OrderPart.objects.get_or_create(order=row, part=part)
        if used.n_used + quantity < 0:
            raise NotPossible("More would come back than was used.")
        cost = part.unit_cost_minor if used.unit_cost_minor is None else used.unit_cost_minor
        OrderPart.objects.filter(pk=used.pk).update(
            n_used=F("n_used") + quantity, unit_cost_minor=cost
        )
        reason = StockMovement.Reason.USE if quantity > 0 else StockMovement.Reason.RETURN
        StockMovement.objects.create(
            part=part, quantity=-quantity, reason=reason, order=row, moved_at=actor.at,
            by_id=actor.user_id,
        )  # fmt: skip
        return f"{quantity.normalize():f} {part.unit} {part.name}"

    return change(order=order, states=NOT_CLOSED, kind=EventKind.PART, then=take, **actor.fields())


def add_photo(*, order: WorkOrder, content: bytes, actor: Actor) -> OrderPhoto:
    """Keep a picture with an order; the same picture again is the one that is there.

    The object is stored before the row: a row never names what is not there.

    Raises:
        photos.NotAPhoto: it is none, or too large.
        NotPossible: the order is closed or has enough photos.
        tenants.storage.StorageUnavailable: it is not kept; trying again later may help.
    """
    photo = photos.redraw(content)
    known = order.photos.filter(digest=photo.digest).first()
    if known is not None:
        return known
    if order.photos.count() >= MAX_PHOTOS:
        raise NotPossible(f"An order keeps {MAX_PHOTOS} photos. This one has them.")
    key = names.object_key("work-orders", str(order.pk), f"{uuid4()}.jpg")
    storage.put_bytes(key=key, content=photo.content)
    kept: list[OrderPhoto] = []

    def keep(row: WorkOrder) -> str:
        found, _ = OrderPhoto.objects.get_or_create(
            order=row,
            digest=photo.digest,
            defaults={
                "object_key": key, "n_bytes": len(photo.content), "width": photo.width,
                "height": photo.height, "added_at": actor.at, "added_by_id": actor.user_id,
            },
        )  # fmt: skip
        kept.append(found)
        return ""

    try:
        change(order=order, states=NOT_CLOSED, kind=EventKind.PHOTO, then=keep, **actor.fields())
    finally:
        if not kept or kept[0].object_key != key:
            storage.delete(key=key)  # the order was closed, or the same picture was faster
    if not kept:
        raise NotPossible("This request was served before, with another photo.")
    return kept[0]


def sign(*, order: WorkOrder, name: str, drawn: Any, actor: Actor) -> WorkOrder:
    """Sign an order: a name, and what was drawn where a hand could draw.

    Raises:
        NotPossible: the order is closed, or no name is given.
        strokes.NotStrokes: the drawing is none.
    """
    lines = strokes.read(drawn)
    if not name.strip():
        raise NotPossible("Write your name below the signature.")

    def put(row: WorkOrder) -> str:
        OrderSignature.objects.update_or_create(
            order=row,
            defaults={
                "name": name.strip()[:80], "strokes": lines, "signed_at": actor.at,
                "signed_by_id": actor.user_id,
            },
        )  # fmt: skip
        return name.strip()[:80]

    return change(order=order, states=NOT_CLOSED, kind=EventKind.SIGNED, then=put, **actor.fields())
