"""What bills and usage add to an export of everything."""

from collections.abc import Iterator

from billing import tables
from tenants import export
from tenants.context import current_factory
from tenants.export_files import ExportFile

NAME = "billing"
FILES = {
    "invoices": tables.INVOICES,
    "invoice_lines": tables.LINES,
    "credit_notes": tables.CREDIT_NOTES,
    "ledger": tables.LEDGER,
}


def register() -> None:
    """Have invoices and the ledger exported with everything else."""
    export.contribute(NAME, files)


def files() -> Iterator[ExportFile]:
    """Yield each table of the factory at work, also where it has no rows yet."""
    factory = current_factory()
    for name, table in FILES.items():
        yield ExportFile(f"{NAME}/{name}.csv", table.about, table.csv(factory))
