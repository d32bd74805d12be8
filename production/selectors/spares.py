"""What lies on the shelf, what is set aside, and what will be needed before more can come."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, DecimalField, F, Min, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from production.models import (
    MaintenancePlan,
    OrderPart,
    SparePart,
    Status,
    StockMovement,
    WorkOrder,
)
from production.reliability import poisson_quantile
from production.selectors.plans import enabled_plans, next_due_days

LOOK_BACK = timedelta(days=365)
# A rate of use is named after so many uses over so long; before that it would be a guess.
LEAST_USES = 3
LEAST_HISTORY = timedelta(days=60)
USUAL_LEAD_DAYS = 14
_ZERO = Value(Decimal(0), output_field=DecimalField(max_digits=10, decimal_places=2))


@dataclass(frozen=True, slots=True)
class PartStock:
    """A part with its stock; `reserved` is what open orders still wait for."""

    part: SparePart
    stock: Decimal
    reserved: Decimal

    @property
    def is_low(self) -> bool:
        return self.stock - self.reserved < self.part.min_quantity


@dataclass(frozen=True, slots=True)
class PartForecast:
    """What will be used until an order of today arrives.

    `planned` is certain (plans and open orders); `unplanned` is not exceeded in 19 of 20 cases;
    None: not enough history. `to_order` brings the stock to what is needed and to its least.
    """

    planned: Decimal
    unplanned: Decimal | None
    lead_days: int
    to_order: Decimal


def spare_parts(*, include_obsolete: bool = False) -> QuerySet[SparePart]:
    rows = SparePart.objects.select_related("machine_type").order_by("part_no")
    return rows if include_obsolete else rows.filter(status=Status.ACTIVE)


def spare_part(part_id: UUID) -> SparePart:
    """Return one part.

    Raises:
        SparePart.DoesNotExist: not in this factory.
    """
    return spare_parts(include_obsolete=True).get(pk=part_id)


def stocks(chosen: Sequence[SparePart]) -> list[PartStock]:
    """Return the stock of some parts, in their order. Two queries."""
    ids = [row.pk for row in chosen]
    moved = dict(
        SparePart.objects.filter(pk__in=ids)
        .annotate(stock=Coalesce(Sum("movements__quantity"), _ZERO))
        .values_list("pk", "stock")
    )
    reserved = dict(
        OrderPart.objects.filter(part__in=ids, order__state__in=WorkOrder.OPEN)
        .filter(n_planned__gt=F("n_used"))
        .values_list("part")
        .annotate(open=Sum(F("n_planned") - F("n_used")))
    )
    return [
        PartStock(row, moved.get(row.pk, Decimal(0)), reserved.get(row.pk, Decimal(0)))
        for row in chosen
    ]


def forecasts(rows: Sequence[PartStock], *, at: datetime) -> dict[UUID, PartForecast]:
    """Forecast the use of parts within their lead time. Six queries, however many parts.

    Planned use is the parts of calendar plans that fall due, and what open orders wait for.
    Unplanned use is that of other orders in the last year, as a Poisson process of uses: its
    95 % quantile over the lead time, times the usual quantity of a use.

    Source: Silver, Pyke and Thomas, Inventory and Production Management (2017), slow movers.
    """
    chosen = [row.part for row in rows]
    coming = _coming(today=at.date())
    past = {
        pk: (n or 0, total or Decimal(0), first)
        for pk, n, total, first in SparePart.objects.filter(pk__in=[p.pk for p in chosen])
        .annotate(
            n=Count("movements", filter=_unplanned(at)),
            total=Sum("movements__quantity", filter=_unplanned(at)),
            first=Min("movements__moved_at"),
        )
        .values_list("pk", "n", "total", "first")
    }
    found = {}
    for row in rows:
        lead_days = row.part.lead_time_days
        days = USUAL_LEAD_DAYS if lead_days is None else lead_days
        until = at.date() + timedelta(days=days)
        dated = coming.get(row.part.pk, [])
        planned = row.reserved + sum((n for on, n in dated if on <= until), Decimal(0))
        unplanned = _unplanned_use(*past[row.part.pk], lead_days=days, at=at)
        wanted = planned + (unplanned or Decimal(0)) + row.part.min_quantity
        lacking = max(Decimal(0), wanted - row.stock)
        found[row.part.pk] = PartForecast(planned, unplanned, days, Decimal(math.ceil(lacking)))
    return found


def _unplanned(at: datetime) -> Q:
    return Q(
        movements__reason="use",
        movements__order__plan=None,
        movements__moved_at__gte=at - LOOK_BACK,
        movements__moved_at__lte=at,
    )


def _unplanned_use(
    n_uses: int, moved: Decimal, first: datetime | None, *, lead_days: int, at: datetime
) -> Decimal | None:
    if first is None or n_uses < LEAST_USES or at - first < LEAST_HISTORY:
        return None
    days = min(at - first, LOOK_BACK).total_seconds() / 86_400
    usual = math.ceil(-moved / n_uses)
    return Decimal(poisson_quantile(n_uses / days * lead_days) * usual)


def _coming(*, today: date) -> dict[UUID, list[tuple[date, Decimal]]]:
    """Return, by part, the days on which calendar plans will need it; open orders are not in it."""
    chosen = list(enabled_plans().filter(trigger=MaintenancePlan.Trigger.CALENDAR))
    busy = set(
        WorkOrder.objects.filter(plan__in=chosen, state__in=WorkOrder.OPEN).values_list(
            "plan_id", "machine_id"
        )
    )
    coming: dict[UUID, list[tuple[date, Decimal]]] = {}
    for row in next_due_days(chosen):
        if (row.plan.pk, row.machine.pk) in busy:
            continue
        for needed in row.plan.parts.all():
            on = max(row.on, today)
            coming.setdefault(needed.part_id, []).append((on, needed.quantity))
    return coming


def movements(part: SparePart) -> QuerySet[StockMovement]:
    """Return what came and left, newest first, with who and for which order."""
    return part.movements.select_related("by", "order").order_by("-moved_at", "-pk")
