"""Bring archived months of a device back into the database.

python manage.py restore acme 7 2025-01-13      one month
python manage.py restore acme 7                 all of the device, the newest first
"""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from telemetry import services
from telemetry.archive import ArchiveAway, ArchiveDamaged
from telemetry.models import ArchiveFile
from telemetry.services.locking import DeviceBusy
from tenants.context import factory_context
from tenants.models import Factory


class Command(BaseCommand):
    help = "Bring archived months of a device back; what is due goes away again with the clock."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("schema", help="the factory's schema name")
        parser.add_argument("device_id", type=int)
        parser.add_argument("month", nargs="?", type=_day, help="first day of the file, YYYY-MM-DD")

    def handle(self, *args: Any, **options: Any) -> None:
        device_id, month = options["device_id"], options["month"]
        try:
            with factory_context(options["schema"]):
                files = ArchiveFile.objects.filter(device_id=device_id).order_by("-t0")
                months = [month] if month else list(files.values_list("t0", flat=True))
                for i, t0 in enumerate(months):
                    n = services.restore(device_id=device_id, t0=t0)
                    self.stdout.write(f"{(i + 1) / len(months):4.0%} {t0:%Y-%m-%d}: {n} readings")
        except Factory.DoesNotExist as error:
            raise CommandError(f"There is no factory {options['schema']!r}.") from error
        except (services.NoArchiveFile, ArchiveAway, ArchiveDamaged) as error:
            raise CommandError(str(error)) from error
        except DeviceBusy as error:
            raise CommandError("The device is busy; run it again.") from error


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
