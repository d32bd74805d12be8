"""What bills and usage add to an export of everything; what is counted before a factory goes."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from billing import services, tables
from tenants import export
from tenants.context import current_factory
from tenants.export_files import ExportFile
from tenants.models import Factory
from tenants.signals import factory_leaving

NAME = "billing"
FILES = {
    "invoices": tables.INVOICES,
    "invoice_lines": tables.LINES,
    "credit_notes": tables.CREDIT_NOTES,
    "ledger": tables.LEDGER,
}


def register() -> None:
    """Have invoices and the ledger exported with everything else, and usage counted to the end."""
    export.contribute(NAME, files)
    factory_leaving.connect(_count_to_the_end, dispatch_uid="billing.leaving")


def _count_to_the_end(*, factory: Factory, at: datetime, **_kwargs: Any) -> None:
    """Count the full hours while there are readings to be counted; Stripe is told by the sync."""
    services.roll_up(factory=factory, until=at, at=at)


def files() -> Iterator[ExportFile]:
    """Yield each table of the factory at work, also where it has no rows yet."""
    factory = current_factory()
    for name, table in FILES.items():
        yield ExportFile(f"{NAME}/{name}.csv", table.about, table.csv(factory))
