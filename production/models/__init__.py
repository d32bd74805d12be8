"""The plant, what fails in it, and the work that keeps it running."""

from production.models.maintenance import (
    MachineMeter,
    MaintenancePlan,
    PlanAnchor,
    PlanPart,
    SparePart,
    StockMovement,
)
from production.models.order_rows import (
    CheckItem,
    LabourRow,
    OrderPart,
    OrderPhoto,
    OrderSignature,
)
from production.models.orders import Counter, WorkOrder, WorkOrderEvent
from production.models.plant import (
    Area,
    CalendarException,
    Failure,
    Line,
    Machine,
    MachineType,
    ShiftPattern,
    Site,
    Status,
)

__all__ = [
    "Area",
    "CalendarException",
    "CheckItem",
    "Counter",
    "Failure",
    "LabourRow",
    "Line",
    "Machine",
    "MachineMeter",
    "MachineType",
    "MaintenancePlan",
    "OrderPart",
    "OrderPhoto",
    "OrderSignature",
    "PlanAnchor",
    "PlanPart",
    "ShiftPattern",
    "Site",
    "SparePart",
    "Status",
    "StockMovement",
    "WorkOrder",
    "WorkOrderEvent",
]
