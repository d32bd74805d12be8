"""Products, orders and lots: what is made, under which code, and in which state it is.

A lot is known by its product and code, so the same one may be sent again. Who changes a lot, or
what hangs on it, holds the lot's row first and anything else after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from production.models import Lot, LotEvent, Product, ProductionOrder
from production.services.due_inspections import make_due_for_lots
from production.services.refusals import IllegalStep, Invalid, Refused, Taken, Unknown
from tenants.models import User

State = Lot.State
Row = TypeVar("Row")
MAX_BULK = 500
MAX_MINOR = 10**12
# From which states a lot comes into each.
BEFORE: dict[str, frozenset[str]] = {
    State.AVAILABLE: frozenset({State.CREATED}),
    State.HELD: frozenset({State.CREATED, State.AVAILABLE, State.RELEASED, State.RECALLED}),
    State.RELEASED: frozenset({State.HELD}),
    State.CONSUMED: frozenset({State.CREATED, State.AVAILABLE, State.RELEASED}),
    State.SHIPPED: frozenset({State.AVAILABLE, State.RELEASED}),
    State.RECALLED: frozenset({State.SHIPPED, State.CONSUMED}),
    State.SCRAPPED: frozenset(
        {State.CREATED, State.AVAILABLE, State.HELD, State.RELEASED, State.RECALLED}
    ),
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item of a list that was not taken, and why."""

    index: int
    code: str
    message: str


@dataclass(slots=True)
class Receipt(Generic[Row]):
    """What became of a list: rows by the place of their item, how many are new, what was not taken.

    `n_stored` counts new rows, `n_changed` rows that say something new, `n_known` repeats.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    n_stored: int = 0
    n_changed: int = 0
    n_known: int = 0
    rejected: list[Rejection] = field(default_factory=list)

    def reject(self, index: int, refusal: Refused) -> None:
        self.rejected.append(Rejection(index, refusal.code, str(refusal)))


@dataclass(frozen=True, slots=True)
class LotFields:
    """A lot by the names that people and other systems use.

    `product` is an item number, `order` a number, `parent` the code of a lot of the same product.
    """

    product: str
    code: str
    made_at: datetime
    quantity: Decimal = Decimal(1)
    is_serial: bool = False
    order: str = ""
    parent: str = ""
    expires_on: date | None = None


def make_product(
    *,
    item_no: str,
    name: str,
    unit: str = "pcs",
    tracking: str = Product.Tracking.LOT,
    unit_cost_minor: int | None = None,
) -> Product:
    """Make an item known.

    Args:
        unit_cost_minor: what a finished unit has cost, in minor units of the factory's currency.

    Raises:
        Taken: the item number belongs to another item.
        Invalid: the cost is below zero or beyond all sense.
    """
    if unit_cost_minor is not None and not 0 <= unit_cost_minor <= MAX_MINOR:
        raise Invalid("The cost of a unit lies out of range.")
    try:
        with transaction.atomic():
            return Product.objects.create(
                item_no=item_no, name=name, unit=unit, tracking=tracking,
                unit_cost_minor=unit_cost_minor,
            )  # fmt: skip
    except IntegrityError:
        raise Taken(f"Item number {item_no} is in use.") from None


def make_order(
    *, number: str, product: Product, quantity: Decimal, due_at: datetime | None = None
) -> ProductionOrder:
    """Write down that so much of a product is to be made.

    Raises:
        Taken: the number belongs to another order.
        Invalid: nothing is to be made.
    """
    if quantity <= 0:
        raise Invalid("An order is of more than nothing.")
    try:
        with transaction.atomic():
            return ProductionOrder.objects.create(
                number=number, product=product, quantity=quantity, due_at=due_at
            )
    except IntegrityError:
        raise Taken(f"Order number {number} is in use.") from None


def make_lot(
    *,
    product: Product,
    code: str,
    made_at: datetime,
    at: datetime,
    by: User | None = None,
    quantity: Decimal = Decimal(1),
    order: ProductionOrder | None = None,
    parent: Lot | None = None,
    is_serial: bool = False,
    expires_on: date | None = None,
) -> Lot:
    """Make a lot or a serial; the same one sent again is returned.

    Raises:
        Taken: the code stands for another quantity, or for a serial instead of a lot.
        Invalid: a serial of more than one piece, or a parent of another product.
    """
    if parent is not None and parent.product_id != product.pk:
        raise Invalid("A part of a lot is of the same product.")
    fields = LotFields(
        product=product.item_no, code=code, made_at=made_at, quantity=quantity,
        is_serial=is_serial, order=order.number if order else "",
        parent=parent.code if parent else "", expires_on=expires_on,
    )  # fmt: skip
    receipt = record_lots(items=[fields], at=at, by=by, is_strict=True)
    return receipt.rows[0]


@transaction.atomic
def record_lots(
    *, items: Sequence[LotFields], at: datetime, by: User | None = None, is_strict: bool = False
) -> Receipt[Lot]:
    """Make many lots and serials at once, with the inspections that are due of them.

    A lot may come in the same list as its parts. A bad item sinks no other.

    Args:
        items: at most MAX_BULK.
        is_strict: raise the first refusal instead of noting it.
    """
    receipt: Receipt[Lot] = Receipt()
    books = _Books.of(items)
    found: dict[int, Lot] = {}
    # What has no parent goes first, so that a lot may come in the same list as its parts.
    for index, item in sorted(enumerate(items), key=lambda pair: bool(pair[1].parent)):
        try:
            found[index] = books.lot(item)
        except Refused as refusal:
            if is_strict:
                raise
            receipt.reject(index, refusal)
    receipt.rejected.sort(key=lambda rejection: rejection.index)
    fresh = {lot for lot in found.values() if lot._state.adding}
    tops, twins = _insert([lot for lot in fresh if lot.parent is None], at=at, by=by)
    parts = [lot for lot in fresh if lot.parent is not None]
    for lot in parts:
        lot.parent = twins.get(lot.parent, lot.parent) if lot.parent else None
    stored_parts, more_twins = _insert(parts, at=at, by=by)
    stored, twins = [*tops, *stored_parts], twins | more_twins
    receipt.rows = {index: twins.get(lot, lot) for index, lot in found.items()}
    receipt.n_stored = len(stored)
    receipt.n_known = len(found) - len(stored)
    make_due_for_lots(lots=stored, at=at)
    return receipt


def _insert(
    lots: Sequence[Lot], *, at: datetime, by: User | None
) -> tuple[list[Lot], dict[Lot, Lot]]:
    """Insert lots with their first event.

    Returns those that were stored, and for each that another request made meanwhile the other's.
    They are inserted in the order of their codes, so that two requests that make the same lots
    do not block each other.
    """
    rows = sorted(lots, key=lambda lot: (str(lot.product_id), lot.code))
    Lot.objects.bulk_create(rows, ignore_conflicts=True)
    kept = set(Lot.objects.filter(pk__in=[lot.pk for lot in rows]).values_list("pk", flat=True))
    stored = [lot for lot in rows if lot.pk in kept]
    twins = {
        lot: Lot.objects.select_related("product").get(product=lot.product, code=lot.code)
        for lot in rows
        if lot.pk not in kept
    }
    LotEvent.objects.bulk_create(
        LotEvent(lot=lot, state=State.CREATED, at=at, by_id=by.pk if by else None) for lot in stored
    )
    return stored, twins


@dataclass(slots=True)
class _Books:
    """What a list of lots speaks of, read with one query a kind."""

    products: dict[str, Product]
    orders: dict[str, ProductionOrder]
    lots: dict[tuple[UUID, str], Lot]

    @classmethod
    def of(cls, items: Sequence[LotFields]) -> "_Books":
        numbers = {item.product for item in items}
        codes = {item.code for item in items} | {item.parent for item in items}
        lots = Lot.objects.filter(product__item_no__in=numbers, code__in=codes)
        orders = ProductionOrder.objects.filter(number__in={item.order for item in items})
        return cls(
            products={p.item_no: p for p in Product.objects.filter(item_no__in=numbers)},
            orders={order.number: order for order in orders},
            lots={(lot.product_id, lot.code): lot for lot in lots.select_related("product")},
        )

    def lot(self, item: LotFields) -> Lot:
        """Return the lot of an item, which may be known; a new one is not stored yet."""
        product = self.products.get(item.product)
        if product is None:
            raise Unknown("product", item.product)
        order, parent = self._order(item, product), self._parent(item, product)
        _check(item)
        known = self.lots.get((product.pk, item.code))
        if known is not None:
            if (known.is_serial, known.quantity) != (item.is_serial, item.quantity):
                raise Taken(f"Code {item.code} stands for something else.")
            return known
        made = Lot(
            product=product, code=item.code, quantity=item.quantity, order=order, parent=parent,
            is_serial=item.is_serial, made_at=item.made_at, expires_on=item.expires_on,
        )  # fmt: skip
        self.lots[product.pk, item.code] = made
        return made

    def _order(self, item: LotFields, product: Product) -> ProductionOrder | None:
        if not item.order:
            return None
        order = self.orders.get(item.order)
        if order is None:
            raise Unknown("order", item.order)
        if order.product_id != product.pk:
            raise Invalid(f"Order {item.order} is of another product.")
        return order

    def _parent(self, item: LotFields, product: Product) -> Lot | None:
        if not item.parent:
            return None
        parent = self.lots.get((product.pk, item.parent))
        if parent is None:
            raise Unknown("lot", item.parent)
        if item.parent == item.code:
            raise Invalid("A lot is no part of itself.")
        return parent


def _check(item: LotFields) -> None:
    if not item.code.strip():
        raise Invalid("A lot needs a code.")
    if item.quantity <= 0:
        raise Invalid("A lot is of more than nothing.")
    if item.is_serial and item.quantity != 1:
        raise Invalid("A serial is one piece.")


@transaction.atomic
def move_lot(
    *, lot_id: UUID, state: str, at: datetime, by: User | None = None, text: str = ""
) -> Lot:
    """Bring a lot into a state; one that is in it already stays as it is.

    Raises:
        Unknown: no such lot.
        IllegalStep: not from the state that it is in, or before something that was written down.
    """
    lot = hold_row(lot_id)
    if lot.state == state:
        return lot
    if lot.state not in BEFORE.get(state, frozenset()):
        word = Lot.State(state).label.lower()
        raise IllegalStep(
            f"Lot {lot.code} is {lot.get_state_display().lower()}: it cannot become {word}."
        )
    newest = lot.events.order_by("-at", "-pk").first()
    if newest is not None and newest.at > at:
        raise IllegalStep(f"Something later was written down about lot {lot.code}.")
    return write_state(lot, state=state, at=at, by=by, text=text)


def hold_row(lot_id: UUID) -> Lot:
    """Read a lot and hold its row until the commit.

    Raises:
        Unknown: no such lot.
    """
    rows = Lot.objects.select_for_update(no_key=True, of=("self",)).select_related("product")
    lot = rows.filter(pk=lot_id).first()
    if lot is None:
        raise Unknown("lot", lot_id)
    return lot


def hold_family(lot_id: UUID) -> Lot:
    """Read a lot with its parent at hand and hold the rows of both, in the order of their keys.

    Raises:
        Unknown: no such lot.
    """
    parents = Lot.objects.filter(pk=lot_id).values("parent")
    rows = Lot.objects.select_for_update(no_key=True, of=("self",)).select_related("product")
    held = {lot.pk: lot for lot in rows.filter(Q(pk=lot_id) | Q(pk__in=parents)).order_by("pk")}
    lot = held.get(lot_id)
    if lot is None:
        raise Unknown("lot", lot_id)
    if lot.parent_id is not None:
        lot.parent = held[lot.parent_id]
    return lot


def write_state(lot: Lot, *, state: str, at: datetime, by: User | None, text: str = "") -> Lot:
    """Append an event to a lot whose row is held; the lot's state is that of the event.

    Its time is not before that of the newest event, so that the newest one stays the one that
    counts.
    """
    newest = lot.events.order_by("-at", "-pk").first()
    LotEvent.objects.create(
        lot=lot, state=state, at=max(at, newest.at) if newest else at,
        by_id=by.pk if by else None, text=text[:500],
    )  # fmt: skip
    lot.state = state
    lot.save(update_fields=["state"])
    return lot


def hold_lot(*, lot_id: UUID, at: datetime, by: User | None = None, text: str = "") -> Lot:
    """Block a lot: it is neither used nor shipped until it is released. Raises as `move_lot`."""
    return move_lot(lot_id=lot_id, state=State.HELD, at=at, by=by, text=text)


def release_lot(*, lot_id: UUID, at: datetime, by: User | None = None, text: str = "") -> Lot:
    """Unblock a lot that is held. Raises as `move_lot`."""
    return move_lot(lot_id=lot_id, state=State.RELEASED, at=at, by=by, text=text)
