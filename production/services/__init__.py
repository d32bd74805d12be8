"""What can happen in the plant, one use case a function."""

from production.services.plant import (
    MachineLimitReached,
    add_machine,
    add_shifts,
    create_default_plant,
    machine_type,
    record_failure,
)

__all__ = [
    "MachineLimitReached",
    "add_machine",
    "add_shifts",
    "create_default_plant",
    "machine_type",
    "record_failure",
]
