"""The plant, and what fails in it."""

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
    "Failure",
    "Line",
    "Machine",
    "MachineType",
    "ShiftPattern",
    "Site",
    "Status",
]
