"""What can be asked about products, lots and the runs that made them."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet

from production.models import Lot, LotEvent, OperationRun, Product, ProductionOrder


def products() -> QuerySet[Product]:
    """Return all items by number."""
    return Product.objects.order_by("item_no")


def production_orders() -> QuerySet[ProductionOrder]:
    """Return all orders, newest first."""
    return ProductionOrder.objects.select_related("product").order_by("-created_at", "pk")


def lots(search: str = "") -> QuerySet[Lot]:
    """Return lots and serials, newest first; those whose code holds `search`, if it says any."""
    rows = Lot.objects.select_related("product", "order", "parent").order_by("-made_at", "-id")
    # No code holds a NUL, and the database cannot be asked for one.
    search = search.replace("\0", "").strip()
    return rows.filter(code__icontains=search) if search else rows


def lot(lot_id: UUID) -> Lot:
    """Return one lot with its events and runs at hand.

    Raises:
        Lot.DoesNotExist: not in this factory.
    """
    events = LotEvent.objects.select_related("by").order_by("at", "pk")
    return (
        lots().prefetch_related(Prefetch("events", events), Prefetch("runs", runs())).get(pk=lot_id)
    )


def parts_of(lot: Lot) -> QuerySet[Lot]:
    """Return the serials and handling units below a lot, by code."""
    return Lot.objects.filter(parent=lot).select_related("product").order_by("code", "pk")


def runs() -> QuerySet[OperationRun]:
    """Return runs in the order in which a lot went through them."""
    rows = OperationRun.objects.select_related("machine", "lot__product")
    return rows.order_by("sequence", "run_no", "started_at", "pk")
