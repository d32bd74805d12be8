"""What can be asked about the plant and its maintenance."""

from production.selectors.failing import (
    reliability,
)
from production.selectors.orders import (
    Verdict,
    check_item,
    open_orders,
    order_events,
    order_photo,
    orders_for,
    verdicts,
    work_order,
    work_orders,
)
from production.selectors.plans import (
    NextDue,
    enabled_plans,
    machines_of,
    maintenance_plan,
    maintenance_plans,
    next_due_days,
    watched_values,
)
from production.selectors.plant import (
    failures,
    lines,
    machine,
    machine_types,
    machines,
    main_site,
    shift_at,
    shifts_between,
    sites,
)
from production.selectors.spares import (
    PartForecast,
    PartStock,
    forecasts,
    spare_part,
    spare_parts,
    stocks,
)

__all__ = [
    "NextDue",
    "PartForecast",
    "PartStock",
    "Verdict",
    "check_item",
    "enabled_plans",
    "failures",
    "forecasts",
    "lines",
    "machine",
    "machine_types",
    "machines",
    "machines_of",
    "main_site",
    "maintenance_plan",
    "maintenance_plans",
    "next_due_days",
    "open_orders",
    "order_events",
    "order_photo",
    "orders_for",
    "reliability",
    "shift_at",
    "shifts_between",
    "sites",
    "spare_part",
    "spare_parts",
    "stocks",
    "verdicts",
    "watched_values",
    "work_order",
    "work_orders",
]
