"""What can be asked about the plant."""

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

__all__ = [
    "failures",
    "lines",
    "machine",
    "machine_types",
    "machines",
    "main_site",
    "shift_at",
    "shifts_between",
    "sites",
]
